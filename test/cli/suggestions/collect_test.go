package suggestions

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const (
	repository = "../../.."
	program    = "kubectl jindo"
	// placeholder takes the place of values that only a run knows, names and numbers.
	placeholder = "1"
)

// command is a command line that a program or a document prints.
type command struct {
	// where is the place of the text: file:line, or the command whose help has it.
	where string
	text  string
	// local is true if it is printed for local runtimes only.
	local bool
	// refused is true if the document shows the error of the command.
	refused bool
	// named is true if a text names the command, and does not show an invocation.
	named bool
}

// fromHelp returns the examples of every command.
func fromHelp(root *cobra.Command) []command {
	var found []command
	for _, line := range joined(root.Example) {
		if text := commandIn(line); text != "" {
			found = append(found, command{where: "help of " + root.CommandPath(), text: text})
		}
	}
	for _, c := range root.Commands() {
		found = append(found, fromHelp(c)...)
	}
	return found
}

// joined returns the lines of a text; lines that end in a backslash are joined.
func joined(text string) []string {
	return strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n")
}

// commandIn returns the invocation of the plugin in a line of shell, or "".
func commandIn(line string) string {
	at := strings.Index(line, program)
	before := ""
	if at >= 0 {
		before = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[:at]), "$"))
	}
	if at < 0 || before != "" && !strings.HasSuffix(before, "|") && !strings.HasSuffix(before, "&&") && !strings.HasSuffix(before, "$(") && !strings.HasSuffix(before, "!") {
		return ""
	}
	return line[at:]
}

var (
	fence  = regexp.MustCompile("^\\s*(```|~~~)")
	inline = regexp.MustCompile("`(" + program + " [^`]+)`")
)

// fromDocuments returns the commands in code blocks and inline code of Markdown
// files.
func fromDocuments(t *testing.T) []command {
	t.Helper()
	files := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			inside, _ := filepath.Rel(repository, path)
			files = append(files, inside)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []command
	for _, name := range files {
		raw, err := os.ReadFile(filepath.Join(repository, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		block := false
		lines := joined(string(raw))
		for i, line := range lines {
			where := fmt.Sprintf("%s:%d", name, i+1)
			switch {
			case fence.MatchString(line):
				block = !block
			case block:
				if text := commandIn(line); text != "" && !strings.HasSuffix(text, "[flags]") {
					refused := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "error: ")
					found = append(found, command{where: where, text: text, refused: refused})
				}
			default:
				for _, match := range inline.FindAllStringSubmatch(line, -1) {
					found = append(found, command{where: where, text: match[1], named: true})
				}
			}
		}
	}
	return found
}

// fromSources returns the commands in string literals of the programs: whole
// ones, and formats that begin with the name of the program or command.
func fromSources(t *testing.T) []command {
	t.Helper()
	var found []command
	err := filepath.WalkDir(filepath.Join(repository, "pkg"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		inside, _ := filepath.Rel(repository, path)
		s := source{files: files, name: inside, local: strings.HasPrefix(inside, "pkg/cli/local/") || strings.HasPrefix(inside, "pkg/local/")}
		ast.Inspect(file, s.visit)
		found = append(found, s.found...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// source collects the commands of one file.
type source struct {
	files *token.FileSet
	name  string
	local bool
	found []command
}

func (s *source) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		for i, argument := range n.Args {
			if format, is := literal(argument); is && strings.Contains(format, "%") {
				s.expand(n.Pos(), format, n.Args[i+1:])
			}
		}
	case *ast.BasicLit:
		if text, is := literal(n); is {
			for _, match := range quoted.FindAllString(text, -1) {
				if !strings.Contains(match, "%") {
					s.add(n.Pos(), match)
				}
			}
		}
	}
	return true
}

var (
	quoted  = regexp.MustCompile(program + ` [^"'\x60\n,;:)]+`)
	verbs   = regexp.MustCompile(`%[-+#0-9.]*[a-z]`)
	isName  = regexp.MustCompile(`(^|\.)(s|session|from)\.Name$|^s\.Name$`)
	isPath  = regexp.MustCompile(`CommandPath\(\)$|root\.Name\(\)`)
	isLocal = regexp.MustCompile(`(?i)local`)
)

// expand replaces the verbs of a format whose first is the name of the program.
// A flag that may be added becomes two commands, with and without it.
func (s *source) expand(at token.Pos, format string, arguments []ast.Expr) {
	places := verbs.FindAllStringIndex(format, -1)
	if len(places) == 0 || len(arguments) < len(places) {
		return
	}
	texts := []string{""}
	last, started := 0, false
	for i, place := range places {
		between, value := format[last:place[0]], s.expression(arguments[i])
		last = place[1]
		var values []string
		switch {
		case isName.MatchString(value):
			s.flush(at, texts, between)
			values, texts, started, between = []string{program}, []string{""}, true, ""
		case isPath.MatchString(value):
			return // relative to a command that only a run knows: see TestRun
		case texts[0] == program && strings.TrimSpace(between) == "":
			return // the name of the command is known in a run only
		case isLocal.MatchString(value) && !strings.Contains(value, "Trim"):
			values = []string{"", " --local"}
		case strings.HasSuffix(value, "imeout") || strings.HasSuffix(value, "uration"):
			values = []string{"1m"}
		case strings.HasPrefix(value, "pick("):
			values = []string{" " + placeholder} // one of two names
		case !strings.HasSuffix(between, " ") && !strings.HasSuffix(between, "=") && !strings.HasSuffix(between, "/"):
			values = []string{""} // flags that may be added
		default:
			values = []string{placeholder}
		}
		var next []string
		for _, text := range texts {
			for _, v := range values {
				next = append(next, text+between+v)
			}
		}
		texts = next
	}
	if started {
		s.flush(at, texts, format[last:])
	}
}

// flush adds the commands at the start of expanded formats, up to the end of
// their line.
func (s *source) flush(at token.Pos, texts []string, end string) {
	for _, text := range texts {
		whole, _, _ := strings.Cut(text+end, "\n")
		for _, match := range quoted.FindAllString(whole, 1) {
			s.add(at, match)
		}
	}
}

func (s *source) expression(e ast.Expr) string {
	var text strings.Builder
	_ = printer.Fprint(&text, s.files, e)
	return text.String()
}

func (s *source) add(at token.Pos, text string) {
	where := fmt.Sprintf("%s:%d", s.name, s.files.Position(at).Line)
	s.found = append(s.found, command{where: where, text: text, local: s.local})
}

func literal(e ast.Expr) (string, bool) {
	l, is := e.(*ast.BasicLit)
	if !is || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}
