package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker (see the Makefile).
var (
	version  string
	revision string
)

// versionCmd is gateway version.
type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(p *process) error {
	v, r := versionOf()
	_, err := fmt.Fprintf(p.stdout, "gateway %s (revision %s, %s, %s/%s)\n", v, r, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionOf returns the version and revision that the linker was given or, for
// builds by go install, those that Go itself recorded.
func versionOf() (v, r string) {
	v, r = version, revision
	info, ok := debug.ReadBuildInfo()
	if v == "" && ok {
		v = info.Main.Version
	}
	if r == "" && ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				r = s.Value
			}
		}
	}
	return orUnknown(v), orUnknown(r)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
