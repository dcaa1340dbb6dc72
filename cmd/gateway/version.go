package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"mdpgateway/internal/mdp/client"
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
	b := buildOf()
	_, err := fmt.Fprintf(p.stdout, "gateway %s (revision %s, %s, %s/%s, libzmq %s)\n",
		b.Version, b.Revision, b.Go, runtime.GOOS, runtime.GOARCH, b.ZMQ)
	return err
}

// A build is what is running.
type build struct{ Version, Revision, Go, ZMQ string }

func buildOf() build {
	v, r := versionOf()
	return build{Version: v, Revision: r, Go: runtime.Version(), ZMQ: client.ZMQVersion()}
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
