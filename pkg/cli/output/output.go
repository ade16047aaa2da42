// Package output provides the -o flag: the formats that a command renders itself,
// and kubectl's printers for programs.
package output

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Formats that commands render themselves.
const (
	Table = "table"
	Wide  = "wide"
)

// Format is the value of -o.
type Format struct {
	value string
	// human holds the formats that the command renders itself, the default first.
	human []string
	// NoHeaders omits the header of custom-columns.
	NoHeaders bool
}

// New returns a Format with the formats that the command renders itself. The first
// is used without -o.
func New(human ...string) *Format { return &Format{human: human} }

// AddFlag adds -o.
func (f *Format) AddFlag(flags *pflag.FlagSet) {
	flags.StringVarP(&f.value, "output", "o", "",
		"format: "+strings.Join(slices.Concat(f.human, machine), "|"))
}

var machine = []string{"json", "yaml", "kyaml", "name", "jsonpath=TEMPLATE", "go-template=TEMPLATE", "custom-columns=TITLE:.path,…"}

// Is reports whether -o is one of the formats.
func (f *Format) Is(formats ...string) bool {
	value := f.value
	if value == "" && len(f.human) > 0 {
		value = f.human[0]
	}
	return slices.Contains(formats, value)
}

// HumanReadable reports whether the command renders the result itself.
func (f *Format) HumanReadable() bool { return f.Is(f.human...) }

// Validate returns an error for an unknown format or an invalid template.
func (f *Format) Validate() error {
	if f.HumanReadable() {
		return nil
	}
	_, err := f.printer(nil)
	return err
}

// Print writes an object in a format for programs. names holds the lines of -o
// name.
func (f *Format) Print(w io.Writer, object runtime.Object, names ...string) error {
	printer, err := f.printer(names)
	if err != nil {
		return err
	}
	var out bytes.Buffer // a template that fails has printed a part, and its diagnosis
	if err := printer.PrintObj(object, &out); err != nil {
		if f.isTemplate() {
			return clierror.Generalf("executing the template of -o %s: %s", f.value, templateError(err))
		}
		return fmt.Errorf("print the result: %w", err)
	}
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func (f *Format) isTemplate() bool {
	kind, _, _ := strings.Cut(f.value, "=")
	return kind == "jsonpath" || kind == "go-template"
}

// templateError returns the cause of a template's error, without the dump of the
// object that the printers append to it.
func templateError(err error) string {
	text, _, _ := strings.Cut(err.Error(), ". Printing more information")
	if _, cause, found := strings.Cut(text, "Error executing template: "); found {
		text = cause
	}
	if _, cause, found := strings.Cut(text, `executing "output" at `); found {
		text = cause
	}
	return text
}

func (f *Format) printer(names []string) (printers.ResourcePrinter, error) {
	kind, template, _ := strings.Cut(f.value, "=")
	switch kind {
	case "json":
		return &printers.JSONPrinter{}, nil
	case "yaml":
		return &printers.YAMLPrinter{}, nil
	case "kyaml":
		return &printers.KYAMLPrinter{}, nil
	case "name":
		return printNames(names), nil
	case "custom-columns":
		return parseColumns(template, f.NoHeaders)
	case "jsonpath":
		const example = "-o 'jsonpath={.metadata.name}'"
		if template == "" {
			return nil, clierror.Usagef("-o jsonpath needs a template").WithTry(example)
		}
		printer, err := printers.NewJSONPathPrinter(template)
		if err != nil {
			return nil, clierror.Usagef("invalid template of -o %s: %w", f.value, err).WithTry(example)
		}
		printer.AllowMissingKeys(true) // as for kubectl
		return printer, nil
	case "go-template":
		const example = "-o 'go-template={{.metadata.name}}'"
		if template == "" {
			return nil, clierror.Usagef("-o go-template needs a template").WithTry(example)
		}
		printer, err := printers.NewGoTemplatePrinter([]byte(template))
		if err != nil {
			return nil, clierror.Usagef("invalid template of -o %s: %s", f.value, strings.TrimPrefix(err.Error(), "template: output:1: ")).WithTry(example)
		}
		return printer, nil
	}
	return nil, clierror.Usagef("unknown output format %q: want %s", f.value, strings.Join(slices.Concat(f.human, machine), ", "))
}

func printNames(names []string) printers.ResourcePrinter {
	return printers.ResourcePrinterFunc(func(_ runtime.Object, w io.Writer) error {
		for _, name := range names {
			if _, err := fmt.Fprintln(w, name); err != nil {
				return err
			}
		}
		return nil
	})
}
