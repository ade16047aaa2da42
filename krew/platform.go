package main

import (
	"fmt"
	"regexp"

	"golang.org/x/mod/semver"
)

const (
	pluginName = "jindo"
	binary     = "kubectl-jindo"
)

// platform is an operating system and architecture that krew supports.
type platform struct{ os, arch string }

// packed returns the platforms that archives are built for: those of the template.
func packed() []platform {
	return []platform{
		{"linux", "amd64"},
		{"linux", "arm64"},
		{"linux", "arm"},
		{"linux", "ppc64le"},
		{"darwin", "amd64"},
		{"darwin", "arm64"},
		{"windows", "amd64"},
		{"windows", "arm64"},
	}
}

func (p platform) String() string { return p.os + "/" + p.arch }

// executable returns the name of the program in the archive.
func (p platform) executable() string {
	if p.os == "windows" {
		return binary + ".exe"
	}
	return binary
}

// archive returns the file name of the platform's archive.
func (p platform) archive(version string) string {
	extension := ".tar.gz"
	if p.os == "windows" {
		extension = ".zip"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", binary, version, p.os, p.arch, extension)
}

// release converts the output of git describe to a version that krew accepts:
// semver with a v. An untagged commit gets a version older than every release.
func release(described string) (string, error) {
	version := described
	if !semver.IsValid(version) {
		version = "v0.0.0-g" + described
	}
	if described == "" || !semver.IsValid(version) || semver.Canonical(version) != version {
		return "", fmt.Errorf("invalid version %q: a tag must be like v1.2.3 or v1.2.3-rc.1", described)
	}
	if !regexp.MustCompile(`^[\w.-]+$`).MatchString(version) {
		return "", fmt.Errorf("invalid version %q: it cannot be part of a file name", version)
	}
	return version, nil
}
