// Command security runs gosec over packages and prints what is not in its list of
// justified findings. It fails if there is such a finding, or if an entry of the list
// justifies nothing.
//
// gosec's own command does the same with comments in the code, but it brings the SDKs
// of four services that propose fixes: minutes of compilation.
//
//	security DIR…
package main

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/securego/gosec/v2"
	"github.com/securego/gosec/v2/analyzers"
	"github.com/securego/gosec/v2/issue"
	"github.com/securego/gosec/v2/rules"
)

func main() {
	root, err := filepath.Abs("..")
	if err == nil {
		err = run(root, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "security:", err)
		os.Exit(1)
	}
}

// run checks all packages in folders of the repository.
func run(root string, folders []string) error {
	analyzer := gosec.NewAnalyzer(gosec.NewConfig(), false, true, false, 2, log.New(io.Discard, "", 0))
	analyzer.LoadRules(rules.Generate(false).RulesInfo())
	analyzer.LoadAnalyzers(analyzers.Generate(false).AnalyzersInfo())
	for _, folder := range folders {
		packages, err := gosec.PackagePaths(filepath.Join(root, folder)+"/...", nil)
		if err != nil {
			return err
		}
		if err := analyzer.Process(nil, packages...); err != nil {
			return err
		}
	}
	found, _, faults := analyzer.Report()
	for file, of := range faults {
		return fmt.Errorf("%s: %v", file, of)
	}
	if n := report(root, found); n > 0 {
		return fmt.Errorf("%d findings to mend or to justify in tools/security/justified.go", n)
	}
	return nil
}

// report prints the findings that nothing justifies, and justifications of nothing.
func report(root string, found []*issue.Issue) (n int) {
	slices.SortFunc(found, func(a, b *issue.Issue) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.RuleID, b.RuleID), cmp.Compare(a.Line, b.Line))
	})
	used := make([]bool, len(justified))
	for _, f := range found {
		name, err := filepath.Rel(root, f.File)
		if err != nil {
			name = f.File
		}
		at := slices.IndexFunc(justified, func(j justification) bool {
			return j.rule == f.RuleID && strings.HasPrefix(name, j.in)
		})
		if at >= 0 {
			used[at] = true
			continue
		}
		n++
		fmt.Printf("%s:%s: %s: %s\n", name, f.Line, f.RuleID, f.What)
	}
	for i, j := range justified {
		if !used[i] {
			n++
			fmt.Printf("%s: no %s is found there: take the justification out\n", j.in, j.rule)
		}
	}
	return n
}
