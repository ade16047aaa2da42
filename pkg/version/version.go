// Package version is which build this is.
package version

import "runtime/debug"

// version is set by the linker: -X github.com/jindo-io/jindo/pkg/version.version=v1.2.3.
var version string

// String is the version of the build: what the linker was told, else what the
// module says, else "devel".
func String() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Commit is the revision the build was made from; empty when unknown.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}
