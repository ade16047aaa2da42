// Command image writes an OCI archive from directories of static binaries, one
// directory for each platform, without a container engine. Builds are reproducible:
// files have no time, no owner and one of two modes.
//
//	image -out jindo.tar -name docker.io/jindo-io/jindo:dev -base -user 65532:65532 \
//	      -root linux/amd64=dist/root/amd64 -root linux/arm64=dist/root/arm64
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// options are the options of an image.
type options struct {
	out, name  string
	base       bool
	fast       bool
	user       string
	env        []string
	entrypoint []string
	labels     map[string]string
	roots      []root
}

// root is the directory of one platform.
type root struct {
	platform v1.Platform
	dir      string
}

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := write(o); err != nil {
		return fmt.Errorf("write image %s to %s: %w", o.name, o.out, err)
	}
	return nil
}

func parse(args []string) (options, error) {
	o := options{labels: map[string]string{}}
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.out, "out", "", "`file` to write")
	flags.StringVar(&o.name, "name", "", "`name` with registry and tag")
	flags.BoolVar(&o.base, "base", false, "add /tmp, /etc/passwd, /etc/group and certificates of public authorities")
	flags.BoolVar(&o.fast, "fast", false, "do not compress")
	flags.StringVar(&o.user, "user", "", "`UID:GID` that it runs as")
	flags.Func("env", "`NAME=VALUE`; repeatable", appendTo(&o.env))
	flags.Func("entrypoint", "`word` of the entry point; repeatable", appendTo(&o.entrypoint))
	flags.Func("label", "`NAME=VALUE`; repeatable", func(value string) error {
		name, text, found := strings.Cut(value, "=")
		if !found {
			return errors.New("write NAME=VALUE")
		}
		o.labels[name] = text
		return nil
	})
	flags.Func("root", "`OS/ARCH=DIR`, the tree of a platform; repeatable", func(value string) error {
		name, dir, found := strings.Cut(value, "=")
		if !found {
			return errors.New("write OS/ARCH=DIR")
		}
		platform, err := v1.ParsePlatform(name)
		if err != nil {
			return err
		}
		o.roots = append(o.roots, root{*platform, dir})
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.out == "" || o.name == "" || len(o.roots) == 0 {
		return o, errors.New("-out, -name and at least one -root are needed")
	}
	return o, nil
}

func appendTo(list *[]string) func(string) error {
	return func(value string) error {
		*list = append(*list, value)
		return nil
	}
}
