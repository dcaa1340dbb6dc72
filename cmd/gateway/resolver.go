package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// envPrefix begins the variables that are ours.
const envPrefix = "GATEWAY_"

// A resolver gives the flags that are not on the command line their value from
// the environment, or else from the file that --config names. kong's own
// resolvers let the file win, and neither kong nor its YAML helper refuses names
// that it does not know: a mistyped limit would silently be none.
type resolver struct {
	env     map[string]string // of the process; an empty variable is as good as none
	loaded  bool
	file    *file
	origins map[string]string // where the value of a flag is from, for errors
}

func newResolver(environ []string) *resolver {
	r := &resolver{env: make(map[string]string), origins: make(map[string]string)}
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); value != "" {
			r.env[name] = value
		}
	}
	return r
}

// Validate is kong.Resolver. What it could check has been checked before the
// first flag was resolved.
func (r *resolver) Validate(*kong.Application) error { return nil }

// Resolve is kong.Resolver. Commands without --config read neither environment
// nor file.
func (r *resolver) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !r.loaded {
		r.loaded = true
		if err := r.load(ctx); err != nil {
			return nil, usageError{err}
		}
	}
	if r.file == nil || flag.Name == "help" || onlyGiven(flag) {
		return nil, nil
	}
	key := envName(flag.Name)
	text, ok := r.env[key]
	if !ok {
		if key, text, ok = r.file.lookup(flag.Name); !ok {
			return nil, nil
		}
	}
	r.origins[flag.Name] = key
	// kong would name the flag as the culprit, so the value is tried here first.
	scan := kong.Scan().PushTyped(text, kong.FlagValueToken)
	if err := flag.Parse(scan, reflect.New(flag.Target.Type()).Elem()); err != nil {
		var bad *valueError
		if errors.As(err, &bad) {
			bad.key = key
		}
		return nil, err
	}
	return text, nil
}

// origin names the flag, variable or key that set a flag, for an error that is
// found when all are known.
func (r *resolver) origin(name string) string {
	if key, ok := r.origins[name]; ok {
		return key
	}
	return "--" + name
}

// load reads the file and refuses what neither the environment nor the file may
// have for this command.
func (r *resolver) load(ctx *kong.Context) error {
	var names []string
	var config *kong.Flag
	for _, group := range ctx.Selected().AllFlags(false) {
		for _, f := range group {
			names = append(names, f.Name)
			if f.Name == "config" {
				config = f
			}
		}
	}
	if config == nil {
		return nil
	}
	names = append(names, flagsBeside(ctx, config)...)
	if err := r.checkEnv(names); err != nil {
		return err
	}
	path, _ := ctx.FlagValue(config).(string)
	if path == "" {
		path = r.env[envName("config")]
	}
	var err error
	r.file, err = readFile(path, slices.DeleteFunc(names, func(n string) bool { return n == "config" || n == "help" }))
	return err
}

// onlyGiven reports whether a flag is one of the command line alone, since the same
// name means something else to serve.
func onlyGiven(flag *kong.Flag) bool { return flag.Tag.Has("given") }

// flagsBeside returns the flags of the command in whose environment, and with whose
// file, this one is run too: those are no mistakes there, but mean nothing to it.
func flagsBeside(ctx *kong.Context, config *kong.Flag) (names []string) {
	for _, command := range ctx.Model.Children {
		if command.Name != config.Tag.Get("beside") {
			continue
		}
		for _, flag := range command.Flags {
			names = append(names, flag.Name)
		}
	}
	return names
}

// checkEnv refuses variables of ours that no flag stands for. It does not print
// their values: the variables of others may be secrets.
func (r *resolver) checkEnv(flags []string) error {
	known := make(map[string]bool)
	for _, name := range flags {
		known[envName(name)] = true
	}
	var unknown []string
	for name := range r.env {
		if strings.HasPrefix(name, envPrefix) && !known[name] && !r.injected(name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("the environment has %s, want only the variables that --help-all lists", strings.Join(unknown, ", "))
}

// injected reports whether Kubernetes made a variable for a Service: one named
// gateway, or gateway-something, whose GATEWAY_SOMETHING_SERVICE_HOST is there too.
func (r *resolver) injected(name string) bool {
	if strings.HasPrefix(name, envPrefix+"SERVICE_") || name == envPrefix+"PORT" || strings.HasPrefix(name, envPrefix+"PORT_") {
		return true
	}
	for _, mark := range []string{"_SERVICE_", "_PORT"} {
		if service, _, ok := strings.Cut(name, mark); ok && r.env[service+"_SERVICE_HOST"] != "" {
			return true
		}
	}
	return false
}

// envName returns the variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
