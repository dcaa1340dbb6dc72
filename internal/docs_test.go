package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"mdpgateway/internal/gateway"
)

const failuresPage = "../docs/failures.md"

// failures returns the sections of docs/failures.md by their headings, in order.
func failures(t *testing.T) (headings []string, sections map[string]string) {
	t.Helper()
	sections = map[string]string{}
	for _, part := range strings.Split(readFile(t, failuresPage), "\n### ")[1:] {
		heading, text, _ := strings.Cut(part, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		if sections[heading] != "" {
			t.Errorf("%s has two sections %q", failuresPage, heading)
		}
		headings = append(headings, heading)
		sections[heading] = text
	}
	if len(headings) < 2 {
		t.Fatalf("%s has %d sections of failures", failuresPage, len(headings))
	}
	return headings, sections
}

// TestEveryFailureIsShownByTests holds that each section of docs/failures.md is told
// in full and has tests, which testdata/failures.txt names in the same order.
func TestEveryFailureIsShownByTests(t *testing.T) {
	headings, sections := failures(t)
	for _, heading := range headings {
		for _, part := range []string{"\n- Callers: ", "\n- Gateway: "} {
			if !strings.Contains(sections[heading], part) {
				t.Errorf("%s: %q has no line %q", failuresPage, heading, strings.TrimSpace(part))
			}
		}
	}
	var shown []string
	for part := range strings.SplitSeq(readFile(t, "testdata/failures.txt"), "\n\n") {
		heading, list, _ := strings.Cut(strings.TrimSpace(part), "\n")
		if strings.HasPrefix(heading, "#") {
			continue // the file's own comment
		}
		shown = append(shown, heading)
		tests := strings.Split(strings.TrimSpace(list), "\n")
		for _, line := range tests {
			folder, test, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !hasTest(t, folder, test) {
				t.Errorf("testdata/failures.txt: %s: %s has no test %q", heading, folder, test)
			}
		}
	}
	if !slices.Equal(shown, headings) {
		t.Errorf("testdata/failures.txt has the sections\n%s\nand %s has\n%s", strings.Join(shown, "\n"), failuresPage, strings.Join(headings, "\n"))
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
			if strings.Contains(readFile(t, name), "\nfunc "+test+"(t *testing.T)") {
				return true
			}
		}
	}
	return false
}

func TestEveryKindOfErrorIsAmongTheFailures(t *testing.T) {
	_, sections := failures(t)
	var told strings.Builder
	for _, text := range sections {
		callers, _, _ := strings.Cut(text, "\n- Gateway: ")
		told.WriteString(callers)
	}
	for _, kind := range gateway.Kinds() {
		if !strings.Contains(told.String(), "`"+string(kind)+"`") {
			t.Errorf("%s does not tell when a caller gets %s", failuresPage, kind)
		}
	}
}

// pages returns the Markdown files of the project by their path from its root.
func pages(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 10 {
		t.Fatalf("only %v were found", names)
	}
	return names
}

// TestLinksOfThePagesLeadSomewhere follows the links within the project, with their
// anchors. Those to other hosts are not asked.
func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(readFile(t, page)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(readFile(t, target)), anchor) {
				t.Errorf("%s: %s has no heading for the link %s", page, target, m[1])
			}
		}
	}
}

// anchors returns the headings of a page as GitHub writes them in links.
func anchors(page string) (found []string) {
	left := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for line := range strings.Lines(withoutCode(page)) {
		if heading, isHeading := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); isHeading && line[0] == '#' {
			text := left.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			found = append(found, strings.ReplaceAll(text, " ", "-"))
		}
	}
	return found
}

// withoutCode drops the fenced blocks of a page.
func withoutCode(page string) string {
	var text strings.Builder
	for i, part := range strings.Split("\n"+page, "\n```") {
		if i%2 == 0 {
			text.WriteString(part + "\n")
		}
	}
	return text.String()
}

// TestLinesOfThePagesCanBeReviewed holds their length, but for what can't be broken: rows
// of tables, code, and what make bench writes.
func TestLinesOfThePagesCanBeReviewed(t *testing.T) {
	figures := regexp.MustCompile(`(?s)<!-- figures: begin .*<!-- figures: end`)
	for _, page := range pages(t) {
		text := figures.ReplaceAllString(readFile(t, page), "")
		for line := range strings.Lines(withoutCode(text)) {
			if n := utf8.RuneCountInString(strings.TrimSpace(line)); n > 120 && line[0] != '|' {
				t.Errorf("%s: a line of %d characters, want at most 120: %s", page, n, line)
			}
		}
	}
}

// TestTheReadmeIsShort holds that what is reference goes to docs/.
func TestTheReadmeIsShort(t *testing.T) {
	if n := len(readFile(t, "../README.md")); n > 8<<10 {
		t.Errorf("README.md has %d bytes, want at most %d", n, 8<<10)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
