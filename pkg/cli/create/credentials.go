package create

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"
	"gopkg.in/ini.v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// The three credentials, behind "fs.SCHEME.".
const (
	accessKeyID     = "accessKeyId"
	accessKeySecret = "accessKeySecret"
	securityToken   = "securityToken"
)

// maxCredentials is how large a file of credentials may be.
const maxCredentials = 64 << 10

// prompt is the value of --credentials that asks.
const prompt = "prompt"

// credentialOptions say where credentials come from.
type credentialOptions struct {
	session *session.Session
	source  string
	file    string
	profile string
}

func (o *credentialOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.source, "credentials", "", "prompt: ask for the credentials, without showing them")
	flags.StringVar(&o.file, "credentials-file", "", "file with the credentials; - is standard input")
	flags.StringVar(&o.profile, "credentials-profile", "", "section of that file, where it has several (default: default)")
}

// asked says whether a Secret is to be made.
func (o *credentialOptions) asked() bool { return o.source != "" || o.file != "" }

// validate where they are to come from.
func (o *credentialOptions) validate(schemes []string) error {
	switch {
	case o.source != "" && o.source != prompt:
		return clierror.Usagef("--credentials must be prompt, not what is secret: everybody on this machine can read the command line").
			WithTry("--credentials=prompt, or --credentials-file FILE")
	case o.source != "" && o.file != "":
		return clierror.Usagef("--credentials=prompt and --credentials-file both say where the credentials are: leave one out")
	case len(schemes) == 0:
		return clierror.Usagef("no mount takes credentials: they are all directories or claims").WithHint("leave --credentials and --credentials-file out")
	}
	return nil
}

// secret of the credentials, with the keys that mounts of the schemes look for.
func (o *credentialOptions) secret(meta metav1.ObjectMeta, schemes []string) (*corev1.Secret, error) {
	var found credentials
	var err error
	if o.file != "" {
		found, err = o.read()
	} else {
		found, err = o.ask(schemes)
	}
	if err != nil {
		return nil, err
	}
	return found.secret(meta, schemes, o.label())
}

func (o *credentialOptions) label() string {
	switch o.file {
	case "":
		return "the answers"
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
			return nil, clierror.Usagef("reading the credentials: %w", err)
		}
		defer func() { _ = file.Close() }()
		reader = file
	}
	raw, err := io.ReadAll(io.LimitReader(reader, maxCredentials+1))
	if err != nil {
		return nil, clierror.Usagef("reading the credentials from %s: %w", o.label(), err)
	}
	if len(raw) > maxCredentials {
		return nil, clierror.Usagef("%s holds more than %d bytes: that is no file of credentials", o.label(), maxCredentials)
	}
	found, err := parseCredentials(raw, o.profile)
	if err != nil {
		return nil, clierror.Usagef("%s: %w", o.label(), err)
	}
	return found, nil
}

// ask a person; what is typed is not shown.
func (o *credentialOptions) ask(schemes []string) (credentials, error) {
	terminal, ok := o.session.Streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, clierror.Usagef("--credentials=prompt asks a person, and standard input is no terminal").WithTry("--credentials-file FILE")
	}
	found := credentials{}
	for _, question := range []struct{ text, key string }{
		{"Access key id for " + strings.Join(schemes, ", ") + ": ", accessKeyID},
		{"Access key secret: ", accessKeySecret},
		{"Security token (empty for none): ", securityToken},
	} {
		_, _ = fmt.Fprint(o.session.Streams.ErrOut, question.text)
		answer, err := term.ReadPassword(int(terminal.Fd()))
		_, _ = fmt.Fprintln(o.session.Streams.ErrOut)
		if err != nil {
			return nil, clierror.Generalf("asking for the credentials: %w", err)
		}
		if value := strings.TrimSpace(string(answer)); value != "" {
			found[question.key] = value
		}
	}
	return found, nil
}

// credentials by name: accessKeyId, or fs.oss.accessKeyId where a file says for
// which stores they are.
type credentials map[string]string

// secret with a key for each option that a mount of the schemes looks up.
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
				return nil, clierror.Usagef("%s holds no %s for %s", label, key, scheme).
					WithHint("lines such as %s=… and %s=…, JSON, or the ini files of aws and ossutil are read", optionName(scheme, accessKeyID), optionName(scheme, accessKeySecret))
			}
			secret.Data[option] = []byte(value)
		}
	}
	return secret, nil
}

// parseCredentials reads lines of KEY=VALUE, JSON, or an ini file, of which the
// section is taken that profile names.
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
			if _, there := sections[usual]; there {
				name = usual
			}
		}
	}
	section, there := sections[name]
	if !there {
		return nil, fmt.Errorf("no section [%s]: the file has %s", name, strings.Join(order, ", "))
	}
	return section, nil
}

func parseJSON(raw []byte) (credentials, error) {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, errors.New("invalid JSON: want an object with the keys") // the decoder's error could quote a secret
	}
	// Both clouds' programs wrap them up.
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

// add a credential under whichever of its many names.
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
