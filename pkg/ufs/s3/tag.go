package s3

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// made is the prefix of tags that this driver makes.
const made = "~"

// tag returns the store's tag without quotes, or one made of size and time.
func tag(etag *string, size int64, modified *time.Time) string {
	if given := strings.Trim(aws.ToString(etag), `"`); given != "" {
		return given
	}
	return fmt.Sprintf("%s%d-%d", made, aws.ToTime(modified).Unix(), size)
}

// quoted returns the tag for a header that compares it; nil if the store does not
// know it.
func quoted(etag string) *string {
	if etag == "" || strings.HasPrefix(etag, made) {
		return nil
	}
	return aws.String(`"` + etag + `"`)
}

func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}
