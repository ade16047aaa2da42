package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"text/template"
)

// templateName is where krew-release-bot looks for the template: in the root of
// the repository.
const templateName = ".krew.yaml"

// render returns the manifest of a release from the template that
// krew-release-bot uses. sums has the checksums by archive name.
func render(root, version string, sums map[string]string) ([]byte, error) {
	return renderWith(root, version, func(uri string) (string, error) {
		sum, ok := sums[path.Base(uri)]
		if !ok {
			return "", fmt.Errorf("the template has %s, which was not packed", path.Base(uri))
		}
		return sum, nil
	})
}

// renderWith renders the template; sumOf returns the checksum of the archive at
// an address.
func renderWith(root, version string, sumOf func(uri string) (string, error)) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, templateName))
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	tagged := struct{ TagName string }{version}
	expand := func(name, text string, functions template.FuncMap) (string, error) {
		t, err := template.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
		if err != nil {
			return "", fmt.Errorf("parse the template: %w", err)
		}
		var out bytes.Buffer
		if err := t.Execute(&out, tagged); err != nil {
			return "", fmt.Errorf("render the manifest: %w", err)
		}
		return out.String(), nil
	}
	// The bot indents the second line by four spaces, regardless of context.
	functions := template.FuncMap{"addURIAndSha": func(address, _ string) (string, error) {
		uri, err := expand("address", address, nil)
		if err != nil {
			return "", err
		}
		sum, err := sumOf(uri)
		return fmt.Sprintf("uri: %s\n    sha256: %s", uri, sum), err
	}}
	manifest, err := expand("manifest", string(source), functions)
	return []byte(manifest), err
}
