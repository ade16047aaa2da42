package s3

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// defaultRegion is the region of signatures for stores without regions.
const defaultRegion = "us-east-1"

// target is the address of a bucket.
type target struct {
	// endpoint is a URL; empty means Amazon's for the region.
	endpoint  string
	region    string
	pathStyle bool
	// amazon means that the store is Amazon's own.
	amazon bool
	// conditions is auto, all or none.
	conditions string
}

// name returns the endpoint for messages.
func (t target) name() string {
	if t.endpoint == "" {
		return "Amazon S3 in " + t.region
	}
	return t.endpoint
}

// amazonHost matches s3.amazonaws.com, s3.REGION.amazonaws.com, s3-REGION and
// those in China.
var amazonHost = regexp.MustCompile(`(?:^|\.)s3(?:[.-](?:dualstack\.|fips\.)?([a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?$`)

func resolve(l ufs.Location, options map[string]string) (target, error) {
	t := target{region: strings.TrimSpace(options["fs.s3.region"]), amazon: true, conditions: options["fs.s3.conditions"]}
	if endpoint := strings.TrimSpace(options["fs.s3.endpoint"]); endpoint != "" {
		host, err := t.parseEndpoint(l, endpoint)
		if err != nil {
			return t, err
		}
		found := amazonHost.FindStringSubmatch(strings.ToLower(host))
		t.amazon = found != nil
		if t.region == "" && found != nil {
			t.region = found[1]
		}
	} else if t.region == "" {
		return t, fmt.Errorf("%s: options fs.s3.endpoint and fs.s3.region are both missing; write one of them: %w", l, ufs.ErrInvalid)
	}
	if t.region == "" {
		t.region = defaultRegion
	}
	t.pathStyle = !t.amazon || strings.Contains(l.Bucket, ".")
	if style := options["fs.s3.pathStyle"]; style != "" && style != "auto" {
		var err error
		if t.pathStyle, err = strconv.ParseBool(style); err != nil {
			return t, fmt.Errorf("%s: option fs.s3.pathStyle is %q; write true, false or auto: %w", l, style, ufs.ErrInvalid)
		}
	}
	switch t.conditions {
	case "":
		t.conditions = "auto"
	case "auto", "all", "none":
	default:
		return t, fmt.Errorf("%s: option fs.s3.conditions is %q; write auto, all or none: %w", l, t.conditions, ufs.ErrInvalid)
	}
	return t, nil
}

func (t *target) parseEndpoint(l ufs.Location, endpoint string) (string, error) {
	raw := endpoint
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	why := ""
	switch {
	case err != nil || u.Hostname() == "":
		why = "which has no host"
	case u.Scheme != "http" && u.Scheme != "https":
		why = "whose scheme is neither http nor https"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		why = "which is more than a host"
	}
	if why != "" {
		return "", fmt.Errorf("%s: option fs.s3.endpoint is %q, %s; write one like s3.eu-west-1.amazonaws.com or http://10.0.0.1:9000: %w", l, endpoint, why, ufs.ErrInvalid)
	}
	t.endpoint = u.Scheme + "://" + u.Host
	return u.Hostname(), nil
}
