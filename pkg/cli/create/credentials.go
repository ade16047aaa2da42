package create

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/ini.v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// Names of the credentials, which follow "fs.SCHEME." in options.
const (
	accessKeyID     = "accessKeyId"
	accessKeySecret = "accessKeySecret"
	securityToken   = "securityToken"
)

// maxCredentials is the largest size of a file with credentials, in bytes.
const maxCredentials = 64 << 10

// prompt is the value of --credentials that prompts for them.
const prompt = "prompt"

// credentialOptions are the flags that name the source of credentials.
type credentialOptions struct {
	session *session.Session
	source  string
	file    string
	profile string
}

func (o *credentialOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.source, "credentials", "", "prompt: prompt for the credentials without echo")
	flags.StringVar(&o.file, "credentials-file", "", "file with the credentials; - is standard input")
	flags.StringVar(&o.profile, "credentials-profile", "", "section of that file, if it has several (default: default)")
}

// given reports whether a Secret is to be created.
func (o *credentialOptions) given() bool { return o.source != "" || o.file != "" }

// validate checks the flags.
func (o *credentialOptions) validate(schemes []string) error {
	switch {
	case o.source != "" && o.source != prompt:
		return clierror.Usagef("invalid --credentials: want prompt; the command line is readable by every user of this machine").
			WithTry("--credentials=prompt, or --credentials-file FILE")
	case o.source != "" && o.file != "":
		return clierror.Usagef("--credentials=prompt and --credentials-file cannot be used together")
	case len(schemes) == 0:
		return clierror.Usagef("no mount takes credentials: all are directories or claims").WithHint("omit --credentials and --credentials-file")
	}
	return nil
}

// secret reads the credentials and returns a Secret with the keys that mounts of
// the schemes look up.
func (o *credentialOptions) secret(ctx context.Context, meta metav1.ObjectMeta, schemes []string) (*corev1.Secret, error) {
	var found credentials
	var err error
	if o.file != "" {
		found, err = o.read()
	} else {
		found, err = o.prompt(ctx, schemes)
	}
	if err != nil {
		return nil, err
	}
	return found.secret(meta, schemes, o.label())
}

func (o *credentialOptions) label() string {
	switch o.file {
	case "":
		return "the input"
	case "-":
		return "standard input"
	}
	return o.file
}

func (o *credentialOptions) read() (credentials, error) {
	reader := o.session.Streams.In
	if o.file != "-" {
		file, err := os.Open(o.file)
		if err != nil {
			return nil, clierror.Usagef("reading credentials: %w", err)
		}
		defer func() { _ = file.Close() }()
		reader = file
	}
	raw, err := io.ReadAll(io.LimitReader(reader, maxCredentials+1))
	if err != nil {
		return nil, clierror.Usagef("reading credentials from %s: %w", o.label(), err)
	}
	if len(raw) > maxCredentials {
		return nil, clierror.Usagef("%s is larger than %d bytes: not a file with credentials", o.label(), maxCredentials)
	}
	found, err := parseCredentials(raw, o.profile)
	if err != nil {
		return nil, clierror.Usagef("%s: %w", o.label(), err)
	}
	return found, nil
}

// prompt reads the credentials from the terminal without echo.
func (o *credentialOptions) prompt(ctx context.Context, schemes []string) (credentials, error) {
	if !o.session.IsTerminal() {
		return nil, clierror.Usagef("--credentials=prompt needs a terminal on standard input").WithTry("--credentials-file FILE")
	}
	found := credentials{}
	for _, question := range []struct{ text, key string }{
		{"Access key id for " + strings.Join(schemes, ", ") + ": ", accessKeyID},
		{"Access key secret: ", accessKeySecret},
		{"Security token (empty for none): ", securityToken},
	} {
		value, err := o.session.PromptSecret(ctx, question.text)
		if err != nil {
			return nil, err
		}
		if value != "" {
			found[question.key] = value
		}
	}
	return found, nil
}

// credentials holds credentials by name: accessKeyId, or fs.oss.accessKeyId if they
// are for one scheme.
type credentials map[string]string

// secret returns a Secret with a key for each option that mounts of the schemes
// look up.
func (c credentials) secret(meta metav1.ObjectMeta, schemes []string, label string) (*corev1.Secret, error) {
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta,
		Type: corev1.SecretTypeOpaque, Data: map[string][]byte{},
	}
	for _, scheme := range schemes {
		for _, key := range []string{accessKeyID, accessKeySecret, securityToken} {
			option := optionName(scheme, key)
			value := c[option]
			if value == "" {
				value = c[key]
			}
			if value == "" && key == securityToken {
				continue
			}
			if value == "" {
				return nil, clierror.Usagef("%s: no %s for %s found", label, key, scheme).
					WithHint("accepted are lines such as %s=… and %s=…, JSON, and the ini files of aws and ossutil", optionName(scheme, accessKeyID), optionName(scheme, accessKeySecret))
			}
			secret.Data[option] = []byte(value)
		}
	}
	return secret, nil
}

// parseCredentials parses lines of KEY=VALUE, JSON, or the section of an ini file
// that profile names.
func parseCredentials(raw []byte, profile string) (credentials, error) {
	if trimmed := bytes.TrimSpace(raw); bytes.HasPrefix(trimmed, []byte("{")) {
		return parseJSON(trimmed)
	}
	sections, order, err := parseINI(raw)
	if err != nil {
		return nil, err
	}
	if len(order) == 0 {
		return nil, errors.New("the file is empty")
	}
	name := profile
	if name == "" {
		name = order[0]
		for _, usual := range []string{ini.DefaultSection, "default", "Credentials"} {
			if _, found := sections[usual]; found {
				name = usual
			}
		}
	}
	section, found := sections[name]
	if !found {
		return nil, fmt.Errorf("no section [%s]: the file has %s", name, strings.Join(order, ", "))
	}
	return section, nil
}

func parseJSON(raw []byte) (credentials, error) {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, errors.New("invalid JSON: want an object with the keys") // the decoder's error could quote a secret
	}
	// The programs of both clouds nest them.
	if wrapped, ok := fields["Credentials"].(map[string]any); ok {
		fields = wrapped
	}
	found := credentials{}
	for key, value := range fields {
		if text, ok := value.(string); ok {
			found.add(key, text)
		}
	}
	return found, nil
}

// iniOptions reads lines of KEY=VALUE and the ini files of the aws and ossutil
// programs; values are taken as they are, since a secret may hold any character.
var iniOptions = ini.LoadOptions{IgnoreInlineComment: true, IgnoreContinuation: true, KeyValueDelimiters: "="}

// parseINI returns the sections that hold keys, by name and in their order.
// Its errors never quote a line: the line may be a secret.
func parseINI(raw []byte) (sections map[string]credentials, order []string, err error) {
	file, err := ini.LoadSources(iniOptions, raw)
	var noDelimiter ini.ErrDelimiterNotFound
	switch {
	case errors.As(err, &noDelimiter):
		return nil, nil, fmt.Errorf("line %d is not KEY=VALUE", lineOf(raw, noDelimiter.Line))
	case err != nil:
		return nil, nil, errors.New("not lines of KEY=VALUE, JSON or an ini file")
	}
	sections = map[string]credentials{}
	for _, section := range file.Sections() {
		if len(section.Keys()) == 0 {
			continue
		}
		name := strings.TrimPrefix(section.Name(), "profile ")
		if sections[name] == nil {
			sections[name], order = credentials{}, append(order, name)
		}
		for _, key := range section.Keys() {
			sections[name].add(strings.TrimPrefix(key.Name(), "export "), key.Value())
		}
	}
	return sections, order, nil
}

// lineOf returns the number of the first line with the text, from 1.
func lineOf(raw []byte, text string) int {
	number := 0
	for line := range bytes.Lines(raw) {
		number++
		if strings.TrimSpace(string(line)) == strings.TrimSpace(text) {
			break
		}
	}
	return number
}

// add stores a credential that has one of the usual names; others are ignored.
func (c credentials) add(key, value string) {
	prefix := ""
	if parts := strings.Split(key, "."); len(parts) == 3 && parts[0] == "fs" {
		prefix, key = "fs."+parts[1]+".", parts[2]
	}
	plain := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key))
	for _, cloud := range []string{"aws", "oss", "alibabacloud", "alicloud", "s3"} {
		plain = strings.TrimPrefix(plain, cloud)
	}
	switch {
	case value == "":
	case slices.Contains([]string{"accesskeyid", "accesskey", "accessid"}, plain):
		c[prefix+accessKeyID] = value
	case slices.Contains([]string{"accesskeysecret", "secretaccesskey", "secretkey"}, plain):
		c[prefix+accessKeySecret] = value
	case slices.Contains([]string{"securitytoken", "sessiontoken", "ststoken"}, plain):
		c[prefix+securityToken] = value
	}
}
