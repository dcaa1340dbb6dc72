package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"mdpgateway/internal/access"
	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/httpapi"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/tracing"
	"mdpgateway/internal/yamlnode"
)

// A valueError is a setting that can't be used, told in one line.
type valueError struct {
	key  string // a flag, a variable, or a key of the file with file and line
	got  string
	want string
}

func (e *valueError) Error() string {
	return fmt.Sprintf("%s is %q, want %s", e.key, e.got, e.want)
}

// mappers are the types that settings may have. kong's own are not used: their
// errors say neither what was given nor what was wanted in the same words.
func mappers() []kong.Option {
	return []kong.Option{
		kong.TypeMapper(reflect.TypeFor[time.Duration](), scalar(parseDuration)),
		kong.TypeMapper(reflect.TypeFor[*mdp.Dialect](), scalar(text(parseDialect))),
		kong.TypeMapper(reflect.TypeFor[flowgraph.Encoding](), scalar(text(flowgraph.ParseEncoding))),
		kong.TypeMapper(reflect.TypeFor[mdp.MMI](), scalar(text(mdp.ParseMMI))),
		kong.TypeMapper(reflect.TypeFor[dispatch.CatalogueMode](), scalar(text(dispatch.ParseCatalogueMode))),
		kong.KindMapper(reflect.Int, scalar(parseCount)),
		kong.KindMapper(reflect.Float64, scalar(parseShare)),
		kong.KindMapper(reflect.Bool, boolMapper{scalar(parseBool)}),
		kong.KindMapper(reflect.String, scalar(parseString)),
		kong.TypeMapper(reflect.TypeFor[time.Time](), scalar(text(access.ParseExpiry))),
		kong.TypeMapper(reflect.TypeFor[access.Rate](), scalar(text(access.ParseRate))),
		kong.NamedMapper("glob", list(text(access.ParseGlob))),
		kong.NamedMapper("bytes", scalar(parseBytes)),
		kong.NamedMapper("listen", scalar(parseListen)),
		kong.NamedMapper("socket", list(parseSocket)),
		kong.NamedMapper("bind", list(parseBind)),
		kong.NamedMapper("collector", scalar(parseCollector)),
		kong.NamedMapper("jobs", scalar(parseJobs)),
		kong.NamedMapper("broker", list(text(parseBroker))),
		kong.NamedMapper("host", list(parseHost)),
		kong.NamedMapper("network", list(parseNetwork)),
		kong.NamedMapper("origin", list(text(parseOrigin))),
	}
}

// A parser reads the text of one setting. The error says what was wanted. The
// tag may narrow it: min is the least number, one the words to choose from.
type parser[T any] func(text string, tag *kong.Tag) (T, error)

func scalar[T any](parse parser[T]) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		v, err := pop(ctx, parse)
		if err != nil {
			return err
		}
		target.Set(reflect.ValueOf(v).Convert(target.Type()))
		return nil
	}
}

// list reads one or more values, separated by commas, and adds them to those that
// the flag already has. A target that is no slice takes exactly one.
func list(parse parser[string]) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if target.Kind() != reflect.Slice {
			return scalar(parse)(ctx, target)
		}
		_, err := pop(ctx, func(text string, tag *kong.Tag) (struct{}, error) {
			for item := range strings.SplitSeq(text, ",") {
				v, err := parse(strings.TrimSpace(item), tag)
				if err != nil {
					return struct{}{}, err
				}
				target.Set(reflect.Append(target, reflect.ValueOf(v)))
			}
			return struct{}{}, nil
		})
		return err
	}
}

// pop takes the next value off the command line, or what the resolver gave. A
// flag without value is treated as an empty one, whose error says what is wanted.
func pop[T any](ctx *kong.DecodeContext, parse parser[T]) (v T, err error) {
	var text string
	missing := ctx.Scan.PopValueInto("value", &text)
	if v, err = parse(text, ctx.Value.Tag); err == nil && missing != nil {
		err = errors.New("a value")
	}
	if err != nil {
		return v, &valueError{key: "--" + ctx.Value.Name, got: redacted(text), want: yamlnode.Wish(err)}
	}
	return v, nil
}

// redacted leaves a user's name and password out of what may be a URL, however
// malformed: it ends in logs.
func redacted(text string) string {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	scheme, _, found := strings.Cut(text[:at], "://")
	if !found {
		return "xxxxx" + text[at:]
	}
	return scheme + "://xxxxx" + text[at:]
}

// A boolMapper needs no value on the command line: --embedded is true.
type boolMapper struct{ kong.MapperFunc }

func (boolMapper) IsBool() bool { return true }

// Decode is kong.Mapper.
func (m boolMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	switch given := ctx.Scan.Peek(); v := given.Value.(type) {
	case bool: // of --no-embedded
		ctx.Scan.Pop()
		target.SetBool(v)
		return nil
	default:
		if given.Type != kong.FlagValueToken {
			target.SetBool(true)
			return nil
		}
		return m.MapperFunc(ctx, target)
	}
}

// text makes a parser of a function that needs no tag.
func text[T any](parse func(string) (T, error)) parser[T] {
	return func(text string, _ *kong.Tag) (T, error) { return parse(text) }
}

func parseString(text string, tag *kong.Tag) (string, error) {
	words := tag.Get("one")
	if words == "" {
		return text, nil
	}
	for word := range strings.SplitSeq(words, "|") {
		if text == word {
			return text, nil
		}
	}
	if !strings.Contains(words, "|") {
		return "", errors.New(words)
	}
	return "", fmt.Errorf("one of %s", strings.ReplaceAll(words, "|", ", "))
}

func parseBool(text string, _ *kong.Tag) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("true or false")
}

func parseCount(text string, tag *kong.Tag) (int, error) {
	least, err := tag.GetInt("min")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || int64(n) < least {
		return 0, fmt.Errorf("a whole number of at least %d", least)
	}
	return n, nil
}

func parseShare(text string, _ *kong.Tag) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f >= 1 {
		return 0, errors.New("a share from 0 to less than 1, such as 0.1")
	}
	return f, nil
}

// parseDuration reads time.ParseDuration's form. Zero is allowed only where the
// tag min says so: most waits of no time would refuse every call.
func parseDuration(text string, tag *kong.Tag) (time.Duration, error) {
	if tag.Get("min") == "0" {
		return yamlnode.ParseDuration(text, 0)
	}
	return yamlnode.ParseDuration(text, 1)
}

// parseCollector reads a URL; empty is none.
func parseCollector(text string, _ *kong.Tag) (string, error) {
	if text != "" && tracing.CheckEndpoint(text) != nil {
		return "", errors.New("http://host:port or https://host:port, without a user or password")
	}
	return text, nil
}

const brokerWanted = "tcp://host:port or ipc://path"

func parseBroker(text string) (string, error) {
	if err := client.CheckAddress(text); err != nil {
		return "", errors.New(brokerWanted)
	}
	return text, nil
}

// parseBind reads an endpoint to bind; its port may be *, for any.
func parseBind(text string, _ *kong.Tag) (string, error) {
	address := text
	if host, ok := strings.CutSuffix(text, ":*"); ok {
		address = host + ":1"
	}
	if err := client.CheckAddress(address); err != nil {
		return "", errors.New("tcp://address:port, tcp://address:* or ipc://path")
	}
	return text, nil
}

func parseOrigin(text string) (string, error) { return text, httpapi.CheckOrigin(text) }

// parseHost reads a name as the Host header has it, without its port.
func parseHost(text string, _ *kong.Tag) (string, error) {
	if text == "" || strings.ContainsAny(text, "/ ") || text != "*" && strings.Contains(text, "*") {
		return "", errors.New("a host name without port, ip for any address, or * for any")
	}
	return strings.ToLower(text), nil
}
