package ufs_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestCredentialKey(t *testing.T) {
	if got := ufs.CredentialKey("hadoop", "fs.oss.accessKeyId"); got != "hadoop__fs.oss.accessKeyId" {
		t.Errorf("got %s", got)
	}
	valid := regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	seen := map[string][2]string{}
	for _, pair := range [][2]string{
		{"a", "b__c"},
		{"a__b", "c"},
		{"a_", "b"},
		{"a", "_b"},
		{"a", "b"},
		{"..a", "b"},
		{".a", "b"},
		{"__", "b"},
		{"_", "b"},
		{strings.Repeat("a", 63), strings.Repeat("b", 253)},
		{strings.Repeat("a", 63), strings.Repeat("b", 252)},
		{"A", "b"},
	} {
		key := ufs.CredentialKey(pair[0], pair[1])
		if !valid.MatchString(key) || strings.HasPrefix(key, "..") || key == "." {
			t.Errorf("%q: %q is not a valid key of a Secret", pair, key)
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q share %q", pair, other, key)
		}
		seen[key] = pair
	}
}
