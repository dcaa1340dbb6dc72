// Command portable type-checks packages for other systems, without their C
// libraries: of what comes from C it assumes that it is there. It prints every error
// with its system, and fails if there is one.
//
//	portable DIR PATTERN…
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

// systems are those that people develop on or deploy to, beside linux/amd64.
var systems = []string{"linux/arm64", "darwin/arm64"}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: portable DIR PATTERN…")
		os.Exit(2)
	}
	failed := false
	for _, system := range systems {
		for _, err := range check(system, os.Args[1], os.Args[2:]) {
			failed = true
			fmt.Printf("%s: %v\n", system, err)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check type-checks packages and all that they import for one system.
func check(system, dir string, patterns []string) (faults []error) {
	goos, goarch, _ := strings.Cut(system, "/")
	roots, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule,
		Dir:  dir,
		Env:  append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=1"),
	}, patterns...)
	if err != nil {
		return []error{err}
	}
	c := &checker{arch: goarch, fset: token.NewFileSet(), done: map[string]*types.Package{"unsafe": types.Unsafe}}
	packages.Visit(roots, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			c.faults = append(c.faults, e)
		}
		c.check(p)
	})
	return c.faults
}

// A checker has the packages that are checked; each follows those that it imports.
type checker struct {
	arch   string
	fset   *token.FileSet
	done   map[string]*types.Package
	faults []error
}

// check type-checks one package from its sources. Of packages of other modules only
// the declarations count.
func (c *checker) check(p *packages.Package) {
	if p.PkgPath == "unsafe" {
		return
	}
	own := p.Module != nil && p.Module.Main
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(c.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			c.faults = append(c.faults, err)
			continue
		}
		files = append(files, file)
	}
	config := types.Config{
		Importer:         importer{c, p},
		FakeImportC:      true,
		IgnoreFuncBodies: !own,
		Sizes:            types.SizesFor("gc", c.arch),
		Error: func(err error) {
			// A constant of C's has no type here, nor what is made of it.
			if own && !strings.Contains(err.Error(), "invalid type") {
				c.faults = append(c.faults, err)
			}
		},
	}
	c.done[p.PkgPath], _ = config.Check(p.PkgPath, c.fset, files, nil) // Error has what it returns
}

// An importer finds what one package imports, by the paths that its files have.
type importer struct {
	*checker
	of *packages.Package
}

func (i importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if imported := i.of.Imports[path]; imported != nil && i.done[imported.PkgPath] != nil {
		return i.done[imported.PkgPath], nil
	}
	return nil, errors.New("it is not among what go list names")
}
