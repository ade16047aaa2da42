// Package output is the -o flag: tables for people, and the printers kubectl
// has for machines.
package output

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Formats for people.
const (
	Table = "table"
	Wide  = "wide"
)

// Format of a result.
type Format struct {
	value string
	// people are the formats a command draws itself, the default first.
	people []string
}

// New makes a Format with the formats that the command draws itself; the first
// is used when -o is not given.
func New(people ...string) *Format { return &Format{people: people} }

// AddFlag adds -o.
func (f *Format) AddFlag(flags *pflag.FlagSet) {
	flags.StringVarP(&f.value, "output", "o", "",
		"format: "+strings.Join(slices.Concat(f.people, machine), "|"))
}

var machine = []string{"json", "yaml", "kyaml", "name", "jsonpath=TEMPLATE", "go-template=TEMPLATE"}

// Is tells whether the result is to be drawn in one of the given formats.
func (f *Format) Is(formats ...string) bool {
	value := f.value
	if value == "" && len(f.people) > 0 {
		value = f.people[0]
	}
	return slices.Contains(formats, value)
}

// ForPeople tells whether the command draws the result itself.
func (f *Format) ForPeople() bool { return f.Is(f.people...) }

// Validate refuses a format that there is not.
func (f *Format) Validate() error {
	if f.ForPeople() {
		return nil
	}
	_, err := f.printer(nil)
	return err
}

// Print writes an object for machines. names are what -o name prints, a line
// each.
func (f *Format) Print(w io.Writer, object runtime.Object, names ...string) error {
	printer, err := f.printer(names)
	if err != nil {
		return err
	}
	if err := printer.PrintObj(object, w); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
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
	case "jsonpath":
		printer, err := printers.NewJSONPathPrinter(template)
		if err != nil || template == "" {
			return nil, clierror.Usagef("-o %s is no template: %v", f.value, err).WithTry("-o 'jsonpath={.health}'")
		}
		return printer, nil
	case "go-template":
		printer, err := printers.NewGoTemplatePrinter([]byte(template))
		if err != nil || template == "" {
			return nil, clierror.Usagef("-o %s is no template: %v", f.value, err).WithTry("-o 'go-template={{.health}}'")
		}
		return printer, nil
	}
	return nil, clierror.Usagef("-o %q is none of %s", f.value, strings.Join(slices.Concat(f.people, machine), ", "))
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
