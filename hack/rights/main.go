// Command rights compares the rights that the product's accounts have used, according to
// the audit log of an API server, with the table in manifests/testdata, and adds missing
// ones to it with -write. A test of the manifests compares the table with the roles.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
)

const (
	system = "fluid-system"
	table  = "manifests/testdata/rights-used.txt"
	header = "# account scope resource verb: what the accounts have used in tests on Kubernetes.\n# `go run ./hack/rights -log FILE -write` adds rows.\n"
)

// event has the fields of an audit event that a right consists of.
type event struct {
	Verb string
	User struct{ Username string }
	// ObjectRef is absent in requests without a resource.
	ObjectRef *struct {
		Namespace, Resource, Subresource, APIGroup string
	}
	ResponseStatus struct{ Code int }
}

// right returns the right that a request has used; empty for requests of others, without
// a resource, and that were refused.
func (e event) right() string {
	account, ours := strings.CutPrefix(e.User.Username, "system:serviceaccount:"+system+":")
	if !ours || e.ObjectRef == nil || e.ResponseStatus.Code == http.StatusForbidden {
		return ""
	}
	o := e.ObjectRef
	scope, resource := "*", o.Resource
	if o.Namespace == system {
		scope = system
	}
	if o.APIGroup != "" {
		resource += "." + o.APIGroup
	}
	if o.Subresource != "" {
		resource += "/" + o.Subresource
	}
	return strings.Join([]string{account, scope, resource, e.Verb}, " ")
}

// used returns the sorted rights of an audit log. The last line may be incomplete.
func used(log io.Reader) ([]string, error) {
	var rights []string
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if right := e.right(); right != "" {
			rights = append(rights, right)
		}
	}
	slices.Sort(rights)
	return slices.Compact(rights), lines.Err()
}

// parse returns the rows of a table.
func parse(text string) []string {
	var rows []string
	for line := range strings.Lines(text) {
		if row := strings.TrimSpace(line); row != "" && !strings.HasPrefix(row, "#") {
			rows = append(rows, row)
		}
	}
	return rows
}

func run(log string, write bool) error {
	file, err := os.Open(log)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	rights, err := used(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", log, err)
	}
	known, err := os.ReadFile(table)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	rows := parse(string(known))
	missing := slices.DeleteFunc(slices.Clone(rights), func(right string) bool { return slices.Contains(rows, right) })
	fmt.Printf("%d rights were used, %d of them are not in %s\n", len(rights), len(missing), table)
	if len(missing) == 0 {
		return nil
	}
	if !write {
		return fmt.Errorf("not in %s: %s; add them with go run ./hack/rights -log %s -write", table, strings.Join(missing, ", "), log)
	}
	rows = append(rows, missing...)
	slices.Sort(rows)
	return os.WriteFile(table, []byte(header+strings.Join(rows, "\n")+"\n"), 0o644)
}

func main() {
	log := flag.String("log", "", "audit log")
	write := flag.Bool("write", false, "add missing rows to the table")
	flag.Parse()
	if err := run(*log, *write); err != nil {
		fmt.Fprintln(os.Stderr, "rights:", err)
		os.Exit(1)
	}
}
