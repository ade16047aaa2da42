package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"path"
	"text/template"
)

//go:embed .krew.yaml
var releaseTemplate string

// render makes the manifest of a release from the template that
// krew-release-bot reads, with the sums of the archives by name.
func render(version string, sums map[string]string) ([]byte, error) {
	return renderWith(version, func(uri string) (string, error) {
		sum, ok := sums[path.Base(uri)]
		if !ok {
			return "", fmt.Errorf("the template names %s, which was not packed", path.Base(uri))
		}
		return sum, nil
	})
}

// renderWith asks sumOf for the sum of what is at an address, as the bot asks
// the release.
func renderWith(version string, sumOf func(uri string) (string, error)) ([]byte, error) {
	tagged := struct{ TagName string }{version}
	expand := func(name, text string, functions template.FuncMap) (string, error) {
		t, err := template.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
		if err != nil {
			return "", fmt.Errorf("reading the template: %w", err)
		}
		var out bytes.Buffer
		if err := t.Execute(&out, tagged); err != nil {
			return "", fmt.Errorf("rendering the manifest: %w", err)
		}
		return out.String(), nil
	}
	// The bot indents the second line by four, wherever it stands.
	functions := template.FuncMap{"addURIAndSha": func(address, _ string) (string, error) {
		uri, err := expand("address", address, nil)
		if err != nil {
			return "", err
		}
		sum, err := sumOf(uri)
		return fmt.Sprintf("uri: %s\n    sha256: %s", uri, sum), err
	}}
	manifest, err := expand("manifest", releaseTemplate, functions)
	return []byte(manifest), err
}
