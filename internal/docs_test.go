package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

const architecture = "../docs/architecture.md"

// failures returns the cells of the table of what happens when something fails.
func failures(t *testing.T) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What happens when\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		switch cells := strings.Split(strings.Trim(line, "| \n"), " | "); {
		case !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---"):
		case len(cells) != 4:
			t.Errorf("%s: a row of %d cells, want 4: %s", architecture, len(cells), line)
		default:
			rows = append(rows, cells)
		}
	}
	if len(rows) < 2 {
		t.Fatalf("%s has no table of failures", architecture)
	}
	return rows[1:] // the first names the columns
}

// Whoever reads what happens when something fails finds the tests that show it.
func TestEveryFailureNamesTestsThatExist(t *testing.T) {
	named := regexp.MustCompile("`([a-z/]+)`|Test[A-Za-z0-9]+")
	for _, row := range failures(t) {
		if row[3] == "the same" { // as in the row above
			continue
		}
		folder, tests := "", 0
		for _, m := range named.FindAllStringSubmatch(row[3], -1) {
			if m[1] != "" {
				folder = m[1]
				continue
			}
			tests++
			if !hasTest(t, folder, m[0]) {
				t.Errorf("%s: %s has no %s", row[0], folder, m[0])
			}
		}
		if tests == 0 {
			t.Errorf("%s: the last column is %q, want tests", row[0], row[3])
		}
	}
}

// hasTest looks in a folder of the module or of internal.
func hasTest(t *testing.T, folder, test string) bool {
	t.Helper()
	for _, parent := range []string{"..", "."} {
		files, err := filepath.Glob(filepath.Join(parent, folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(source), "\nfunc "+test+"(t *testing.T)") {
				return true
			}
		}
	}
	return false
}

func TestEveryKindOfErrorIsInTheTableOfFailures(t *testing.T) {
	var told strings.Builder
	for _, row := range failures(t) {
		told.WriteString(row[1])
	}
	for _, kind := range gateway.Kinds() {
		if !strings.Contains(told.String(), "`"+string(kind)+"`") {
			t.Errorf("no row tells when a caller gets %s", kind)
		}
	}
}
