package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/yamlnode"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // the command line, the environment or the file is wrong
)

// cli is the command line.
type cli struct {
	Serve       serveCmd       `cmd:"" default:"withargs" help:"Run the gateway (the default command)."`
	Broker      brokerCmd      `cmd:"" help:"Run a stand-alone MDP broker."`
	Worker      workerCmd      `cmd:"" help:"Run a worker: a program or an HTTP server as a service, or the demo services."`
	Call        callCmd        `cmd:"" help:"Make one call straight to a broker, without HTTP."`
	Key         keyCmd         `cmd:"" help:"Make a key for a caller."`
	Access      accessCmd      `cmd:"" help:"Say what a caller may do."`
	Curve       curveCmd       `cmd:"" help:"Make a pair of CURVE keys for a broker, a gateway, a worker or a client."`
	Services    servicesCmd    `cmd:"" help:"List the services of a running gateway."`
	Top         topCmd         `cmd:"" help:"Watch the services of a running gateway in a terminal."`
	Bench       benchCmd       `cmd:"" help:"Load a service, through HTTP or straight to a broker, and print how long calls took."`
	Doctor      doctorCmd      `cmd:"" help:"Look for what is wrong: settings, files, limits, and every broker, step by step."`
	Healthcheck healthcheckCmd `cmd:"" help:"Check /livez of the gateway that the same settings describe."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// A process is what a command may use of the world.
type process struct {
	ctx            context.Context // ends when the process shall stop
	args, env      []string
	stdout, stderr io.Writer
	command        *kong.Context // what the arguments mean
	flags          []*kong.Flag  // of the command
	resolver       *resolver
}

// run runs the command that args name and returns the exit code. Errors are one
// line on stderr.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	p := &process{ctx: ctx, args: canonical(args), env: env, stdout: stdout, stderr: stderr, resolver: newResolver(env)}
	helped := false
	err := p.parse(new(cli), func(int) { helped = true })
	switch {
	case helped:
		return exitOK
	case err != nil:
		return p.fail(exitUsage, err)
	}
	if err := p.command.Run(p); err != nil {
		var usage usageError
		if errors.As(err, &usage) {
			return p.fail(exitUsage, err)
		}
		return p.fail(exitFailed, err)
	}
	return exitOK
}

// canonical returns the arguments with a command in place of the words that others have for it.
func canonical(args []string) []string {
	switch {
	case len(args) == 0:
	case args[0] == "--version" || args[0] == "-v":
		return append([]string{"version"}, args[1:]...)
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	}
	return args
}

// helpAll is the flag that shows hidden flags, too.
const helpAll = "--help-all"

// showAll makes all flags of a command and those below it visible.
func showAll(n *kong.Node) {
	for _, f := range n.Flags {
		f.Hidden = false
	}
	for _, child := range n.Children {
		showAll(child)
	}
}

// parse reads the command line into c. Exit is called once the help is printed,
// with an error or none returned then.
func (p *process) parse(c *cli, exit func(int)) error {
	options := append(mappers(),
		kong.Name("gateway"),
		kong.PostBuild(p.narrow),
		kong.PostBuild(setDefaults),
		kong.Description("An HTTP/JSON gateway in front of a Majordomo (MDP) broker."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(exit),
		kong.Resolvers(p.resolver),
		kong.WithHyphenPrefixedParameters(true), // -1s is a bad duration, not a flag
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.ValueFormatter(withVariable))
	parser, err := kong.New(c, options...)
	if err != nil {
		return err
	}
	args := slices.Clone(p.args)
	if i := slices.Index(args, helpAll); i >= 0 {
		args[i] = "--help"
		showAll(parser.Model.Node)
	}
	if p.command, err = parser.Parse(args); err != nil {
		return short(err)
	}
	if selected := p.command.Selected(); selected != nil {
		for _, group := range selected.AllFlags(false) {
			p.flags = append(p.flags, group...)
		}
	}
	return nil
}

// narrow leaves out the commands that are not asked for, if the arguments begin with one: to expand the help of all
// their flags took half of the start. One beside whose settings the command is run stays.
func (p *process) narrow(k *kong.Kong) error {
	i := slices.IndexFunc(k.Model.Children, func(c *kong.Node) bool { return len(p.args) > 0 && c.Name == p.args[0] })
	if i < 0 {
		return nil
	}
	stay := []string{p.args[0]}
	for _, f := range k.Model.Children[i].Flags {
		stay = append(stay, f.Tag.Get("beside"))
	}
	k.Model.Children = slices.DeleteFunc(k.Model.Children, func(c *kong.Node) bool { return !slices.Contains(stay, c.Name) })
	return nil
}

// A usageError is a fault in the settings that is found when all are known.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (p *process) fail(code int, err error) int {
	fmt.Fprintf(p.stderr, "gateway: %s\n", yamlnode.OneLine(err.Error()))
	return code
}

// short drops what kong puts before an error that already names its setting.
func short(err error) error {
	var bad *valueError
	var usage usageError
	switch {
	case errors.As(err, &bad):
		return bad
	case errors.As(err, &usage):
		return usage
	default:
		return err
	}
}

// withVariable adds the variable to the help of a flag.
func withVariable(v *kong.Value) string {
	if v.Flag == nil || v.Name == "help" || onlyGiven(v.Flag) {
		return v.Help
	}
	return v.Help + " $" + envName(v.Name)
}

// serveCmd is gateway serve.
type serveCmd struct {
	settings
	Check bool `help:"Print the settings in force as YAML, with warnings, and exit."`
}

// Help is kong.HelpProvider.
func (*serveCmd) Help() string {
	return helpAll + " also lists the settings that few need. A flag wins over its environment variable ($GATEWAY_…), which wins over the file."
}

// Run runs the gateway until the process is told to stop.
func (c *serveCmd) Run(p *process) error {
	if err := c.finish(p.resolver); err != nil {
		return usageError{err}
	}
	if c.Check {
		return writeEffective(p.stdout, p.flags, &c.settings)
	}
	return serve(p, &c.settings)
}
