package oss

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// defaultRegion is used if neither option nor endpoint name a region. A store
// that checks it returns the region that it expects.
const defaultRegion = "cn-hangzhou"

// target is the address of a bucket.
type target struct {
	endpoint  string // a URL without a path
	region    string
	pathStyle bool
}

// resolve evaluates the options. A mount point may contain the endpoint:
// "oss://bucket.oss-cn-hangzhou.aliyuncs.com/prefix".
func resolve(l ufs.Location, options map[string]string) (ufs.Location, target, error) {
	bucket, rest, dotted := strings.Cut(l.Bucket, ".")
	endpoint := strings.TrimSpace(options["fs.oss.endpoint"])
	l.Bucket = bucket
	if endpoint == "" && dotted {
		endpoint = rest
	}
	if !bucketName.MatchString(bucket) {
		return l, target{}, fmt.Errorf("%s: invalid OSS bucket name %q, which must have 3 to 63 of a-z, 0-9 and -; check spec.mounts[].mountPoint: %w", l, bucket, ufs.ErrInvalid)
	}
	region := strings.TrimSpace(options["fs.oss.region"])
	if endpoint == "" && region != "" {
		endpoint = "oss-" + region + ".aliyuncs.com"
	}
	if endpoint == "" {
		return l, target{}, fmt.Errorf("%s: option fs.oss.endpoint is missing; write one like oss-cn-hangzhou.aliyuncs.com: %w", l, ufs.ErrInvalid)
	}
	t, host, err := parseEndpoint(l, endpoint)
	if err != nil {
		return l, t, err
	}
	if region == "" {
		region = regionOf(host)
	}
	t.region = region
	t.pathStyle, err = pathStyle(options["fs.oss.pathStyle"], host)
	if err != nil {
		return l, t, fmt.Errorf("%s: %w", l, err)
	}
	return l, t, nil
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

func parseEndpoint(l ufs.Location, endpoint string) (target, string, error) {
	invalid := func(why string) (target, string, error) {
		return target{}, "", fmt.Errorf("%s: option fs.oss.endpoint is %q, %s; write one like oss-cn-hangzhou.aliyuncs.com or http://10.0.0.1:9000: %w", l, endpoint, why, ufs.ErrInvalid)
	}
	raw := endpoint
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return invalid("which has no host")
	case u.Scheme != "http" && u.Scheme != "https":
		return invalid("whose scheme is neither http nor https")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return invalid("which is more than a host")
	case strings.Contains(u.Hostname(), "oss-dls"):
		return target{}, "", fmt.Errorf("%s: endpoint %s is one of OSS-HDFS, which is not supported; use the bucket's OSS endpoint: %w", l, endpoint, ufs.ErrUnsupported)
	}
	return target{endpoint: u.Scheme + "://" + u.Host}, u.Hostname(), nil
}

// Endpoints are oss-REGION, oss-REGION-internal and vpc100-oss-REGION below
// aliyuncs.com, and REGION.oss.aliyuncs.com.
var (
	regionHost = regexp.MustCompile(`(?:^|[.-])oss-([a-z]{2}-[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$`)
	dualHost   = regexp.MustCompile(`(?:^|\.)([a-z]{2}-[a-z0-9-]+)\.oss\.aliyuncs\.com$`)
)

func regionOf(host string) string {
	host = strings.ToLower(host)
	for _, pattern := range []*regexp.Regexp{regionHost, dualHost} {
		if found := pattern.FindStringSubmatch(host); found != nil {
			return found[1]
		}
	}
	return defaultRegion
}

func pathStyle(option, host string) (bool, error) {
	switch option {
	case "", "auto":
		return net.ParseIP(host) != nil || !strings.Contains(host, "."), nil
	}
	style, err := strconv.ParseBool(option)
	if err != nil {
		return false, fmt.Errorf("option fs.oss.pathStyle is %q; write true, false or auto: %w", option, ufs.ErrInvalid)
	}
	return style, nil
}
