package create

import (
	"maps"
	"strings"
	"testing"
)

func TestParseCredentials(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, profile string
		want          credentials
		fails         string
	}{
		"lines":                {text: "# comment\nexport OSS_ACCESS_KEY_ID=id\nOSS_ACCESS_KEY_SECRET=\"a b\"\n", want: credentials{accessKeyID: "id", accessKeySecret: "a b"}},
		"byte order mark":      {text: "\ufeffaccessKeyId = id\r\naccessKeySecret = s\r\n", want: credentials{accessKeyID: "id", accessKeySecret: "s"}},
		"secrets are verbatim": {text: "accessKeyId=id\naccessKeySecret=a=b;c#d%(e)s\\\n", want: credentials{accessKeyID: "id", accessKeySecret: "a=b;c#d%(e)s\\"}},
		"keys of one scheme":   {text: "fs.oss.accessKeyId=id\n", want: credentials{"fs.oss.accessKeyId": "id"}},
		"aws default":          {text: "[other]\naws_access_key_id = x\n[default]\naws_access_key_id = id\n", want: credentials{accessKeyID: "id"}},
		"aws profile":          {text: "[default]\naws_access_key_id = x\n[profile prod]\naws_access_key_id = id\naws_session_token = t\n", profile: "prod", want: credentials{accessKeyID: "id", securityToken: "t"}},
		"ossutil":              {text: "[Credentials]\nlanguage=EN\naccessKeyID=id\naccessKeySecret=s\n", want: credentials{accessKeyID: "id", accessKeySecret: "s"}},
		"JSON":                 {text: `{"Credentials": {"AccessKeyId": "id", "SecurityToken": "t"}}`, want: credentials{accessKeyID: "id", securityToken: "t"}},
		"empty":                {text: "\n# nothing\n", fails: "empty"},
		"no such profile":      {text: "[a]\nx=1\n[b]\nx=1\n", profile: "c", fails: "no section [c]: the file has a, b"},
		"not a key":            {text: "accessKeyId=id\n\nhunter2\n", fails: "line 3 is not KEY=VALUE"},
		"no key name":          {text: "=hunter2\n", fails: "KEY=VALUE"},
		"open section":         {text: "[hunter2\n", fails: "KEY=VALUE"},
		"broken JSON":          {text: `{"a": "hunter2`, fails: "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseCredentials([]byte(test.text), test.profile)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error %v, want one with %q", err, test.fails)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("error %q quotes a secret", err)
				}
				return
			}
			if err != nil || !maps.Equal(got, test.want) {
				t.Errorf("got %v, error %v, want %v", got, err, test.want)
			}
		})
	}
}
