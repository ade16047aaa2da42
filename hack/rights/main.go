// Command rights compares the rights that the product's accounts have used, according to
// the audit log of an API server, with the table in manifests/testdata, and adds missing
// ones to it with -write. It fails if an account lacked a right. A test of the manifests
// compares the table with the roles: what is used rarely, and is not in the table, has
// its reason there.
package main

import (
	"bufio"
	"cmp"
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
	Annotations    map[string]string
}

// lacking reports whether the account of a request lacked the right. Other requests are
// refused by admission.
func (e event) lacking() bool { return e.Annotations["authorization.k8s.io/decision"] == "forbid" }

// right returns the right that a request requires; empty for requests of others, without
// a resource, and that admission refused.
func (e event) right() string {
	account, ours := strings.CutPrefix(e.User.Username, "system:serviceaccount:"+system+":")
	if !ours || e.ObjectRef == nil || e.ResponseStatus.Code == http.StatusForbidden && !e.lacking() {
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

// rights returns the sorted rights of an audit log that were used, and those that an
// account lacked. The last line may be incomplete.
func rights(log io.Reader) (used, lacked []string, err error) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch right := e.right(); {
		case right == "":
		case e.lacking():
			lacked = append(lacked, right)
		default:
			used = append(used, right)
		}
	}
	slices.Sort(used)
	slices.Sort(lacked)
	return slices.Compact(used), slices.Compact(lacked), lines.Err()
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
	used, lacked, err := rights(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", log, err)
	}
	if len(lacked) > 0 {
		return fmt.Errorf("accounts lacked rights: %s", strings.Join(lacked, ", "))
	}
	known, err := os.ReadFile(table)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	rows := parse(string(known))
	missing := slices.DeleteFunc(slices.Clone(used), func(right string) bool { return slices.Contains(rows, right) })
	fmt.Printf("%d rights were used and none was lacking; not in %s: %s\n", len(used), table, cmp.Or(strings.Join(missing, ", "), "none"))
	if len(missing) == 0 || !write {
		return nil
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
