package s3

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// made starts tags that this driver made because the store has none.
const made = "~"

// tag answers the store's tag without quotes, or one made of what else there
// is.
func tag(etag *string, size int64, modified *time.Time) string {
	if given := strings.Trim(aws.ToString(etag), `"`); given != "" {
		return given
	}
	return fmt.Sprintf("%s%d-%d", made, aws.ToTime(modified).Unix(), size)
}

// quoted is the tag for a header that compares it; nil when the store does not
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
