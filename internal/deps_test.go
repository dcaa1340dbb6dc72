// Package internal_test holds the rules that no single package can hold.
package internal_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "mdpgateway"

// A rule forbids a package, and all below it, some imports. The reason is printed
// with the fault.
type rule struct {
	pkg    string   // below the module; "" is every package of it
	except []string // packages that the rule does not bind
	not    []string // forbidden import paths, and all below them
	direct bool     // only what the package imports itself; else also through others
	why    string
}

const (
	zmq4       = "github.com/pebbe/zmq4"
	prometheus = "github.com/prometheus"
	kong       = "github.com/alecthomas/kong"
	otel       = "go.opentelemetry.io"
	sqlite3    = "github.com/mattn/go-sqlite3"
	nats       = "github.com/nats-io"
)

// rules is one import direction: cmd/gateway wires, httpapi and dispatch decide,
// client, broker and worker do I/O, and the roots are pure.
var rules = []rule{
	{
		except: []string{"internal/mdp/internal/zsock", "bench"}, not: []string{zmq4}, direct: true,
		why: "zsock alone upholds what zmq4 leaves open: one owner per socket, no blocking in libzmq, no default context; bench compares it with a client that does without",
	},
	{
		except: []string{"cmd", "bench/jobs"}, not: []string{kong, "flag"}, direct: true,
		why: "flags, environment and file are read in cmd/gateway; packages are given a Config",
	},
	{
		except: []string{"cmd", "internal/catalogue", "internal/access", "internal/curve", "internal/yamlnode"}, not: []string{"go.yaml.in/yaml"}, direct: true,
		why: "cmd/gateway reads the files and hands services, as nodes with their lines, to catalogue, keys to access, and a broker's peers to curve; nobody else knows YAML",
	},
	{
		except: []string{"cmd"}, not: []string{module + "/cmd"}, direct: true,
		why: "cmd wires packages; nothing imports it",
	},
	{
		except: []string{"internal/metrics"}, not: []string{prometheus}, direct: true,
		why: "metrics owns the registry; the others report events through interfaces that they declare",
	},
	{
		except: []string{"internal/tracing"}, not: []string{otel}, direct: true,
		why: "tracing alone knows OpenTelemetry; it is told of requests that have ended, so that nothing on their way pays for it",
	},
	{
		pkg: "internal/tracing", not: []string{zmq4, prometheus, "google.golang.org/grpc", module + "/internal/mdp/", module + "/internal/httpapi", module + "/internal/dispatch"},
		why: "traces are told what happened in the words of the package gateway, and sent over HTTP: gRPC would be a third of the binary",
	},
	{
		pkg: "internal/httpapi", not: []string{zmq4, prometheus, otel, module + "/internal/mdp/client", module + "/internal/mdp/mux", module + "/internal/mdp/upstream", module + "/internal/dispatch"},
		why: "HTTP is tested and can be reused without a broker: it calls through a Caller that it declares",
	},
	{
		pkg: "internal/dispatch", not: []string{zmq4, prometheus, otel, "net/http", module + "/internal/mdp/client", module + "/internal/mdp/mux", module + "/internal/mdp/upstream"},
		why: "the policy of a call knows neither HTTP nor sockets: it sends through a Pool that it declares",
	},
	{
		pkg: "internal/metrics", not: []string{zmq4, module + "/internal/mdp/", module + "/internal/httpapi", module + "/internal/dispatch"},
		why: "metrics are told what happened in the words of the package gateway",
	},
	{
		pkg: "internal/jobs", except: []string{"internal/jobs/sqlite", "internal/jobs/jetstream"}, not: []string{zmq4, prometheus, otel, sqlite3, "database/sql", "net/http", module + "/internal/httpapi", module + "/internal/dispatch"}, direct: true,
		why: "what becomes of a job is decided without HTTP, a database or a broker: it calls and stores through interfaces that it declares",
	},
	{
		except: []string{"internal/jobs/sqlite"}, not: []string{sqlite3, "database/sql"}, direct: true,
		why: "one store knows SQL",
	},
	{
		except: []string{"internal/jobs/jetstream"}, not: []string{nats}, direct: true,
		why: "one store knows NATS",
	},
	{
		pkg: "internal/mdp/client", not: []string{"net/http", prometheus, module + "/internal/mdp/broker", module + "/internal/mdp/worker"},
		why: "the pool knows sockets, neither who calls nor who answers",
	},
	{
		pkg: "internal/mdp/mux", not: []string{"net/http", prometheus, module + "/internal/mdp/broker", module + "/internal/mdp/worker"},
		why: "as the pool, it knows sockets, neither who calls nor who answers",
	},
	{
		pkg: "internal/zmtp", not: []string{zmq4, "net/http", prometheus, module + "/internal/"},
		why: "ZeroMQ's protocol knows neither Majordomo nor who uses it",
	},
	{
		pkg: "internal/mdp/broker", not: []string{"net/http", prometheus, module + "/internal/mdp/client", module + "/internal/mdp/worker"},
		why: "the broker must stand alone: clients and workers are strangers on the wire",
	},
	{
		pkg: "internal/mdp/worker", not: []string{"net/http", prometheus, module + "/internal/mdp/client", module + "/internal/mdp/broker"},
		why: "a worker reaches its broker over the wire alone",
	},
	{
		pkg: "internal/bridge", not: []string{zmq4, prometheus, module + "/internal/mdp/", module + "/internal/httpapi", module + "/internal/dispatch"},
		why: "a bridge is a function of a request's frames: cmd/gateway makes it a worker",
	},
	{
		pkg: "internal/catalogue", not: []string{zmq4, prometheus, "net/http"},
		why: "the catalogue is data: what may be called, with which limits",
	},
	{
		except: []string{"internal/oidc"}, not: []string{"github.com/coreos/go-oidc", "github.com/go-jose/go-jose", "golang.org/x/oauth2"}, direct: true,
		why: "oidc alone knows tokens and their issuers; access is told what a token says through a Verifier that it declares",
	},
	{
		pkg: "internal/access", not: []string{zmq4, prometheus, "net/http", "os", module + "/internal/catalogue", module + "/internal/flowgraph"},
		why: "who may call what is decided from the text of a file and the time, which others read",
	},
	{
		pkg: "internal/curve", not: []string{zmq4, prometheus, "net/http", module + "/internal/mdp/"},
		why: "keys and the list of peers are data; sockets are given them",
	},
}

// A pure package may import, of what is not in the standard library, only what it
// names; and of the standard library nothing that does I/O.
var pure = []struct {
	pkg  string
	may  []string
	why  string
	noIO []string // of the standard library
}{
	{
		pkg: "internal/gateway", may: []string{module + "/internal/mdp", module + "/internal/ijson"}, noIO: []string{"net", "net/http", "os", "os/exec", "syscall"},
		why: "the words of a call are data; everything imports them",
	},
	{
		pkg: "internal/mdp", noIO: []string{"net", "net/http", "os", "os/exec", "syscall"},
		why: "the protocol is bytes in, bytes out; everything imports it",
	},
	{
		pkg: "internal/mdp/mdpx", may: []string{module + "/internal/mdp"}, noIO: []string{"net", "net/http", "os", "os/exec", "syscall"},
		why: "the protocol is bytes in, bytes out; both sides import it",
	},
	{
		pkg: "internal/ijson", may: []string{"github.com/go-json-experiment/json"}, noIO: []string{"net", "net/http", "os", "os/exec", "syscall"},
		why: "text is checked in memory; everything imports it",
	},
	{
		pkg: "internal/flowgraph", may: []string{module + "/internal/ijson", "github.com/go-json-experiment/json"}, noIO: []string{"net", "net/http", "os", "os/exec", "syscall"},
		why: "vars are a translation of text, fuzzed and measured without the rest",
	},
}

// zap imports net/http, since its AtomicLevel is a handler. What reaches net/http
// through a logger has not become HTTP.
const opaque = "go.uber.org/zap"

// listed is what we read of go list's answer.
type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// TestDeps holds the import rules, each with its reason.
func TestDeps(t *testing.T) {
	pkgs := list(t)
	for _, r := range rules {
		for path := range pkgs {
			if !r.binds(path) {
				continue
			}
			for imp, chain := range imports(pkgs, path, r.direct) {
				if under(imp, r.not...) {
					t.Errorf("%s\n\tbut %s", strings.Join(chain, " -> "), r.why)
				}
			}
		}
	}
	for _, r := range pure {
		p, ok := pkgs[module+"/"+r.pkg]
		if !ok {
			t.Errorf("there is no package %s: the rule is stale", r.pkg)
			continue
		}
		for _, imp := range p.Imports {
			if !pkgs[imp].Standard && !under(imp, r.may...) || slices.Contains(r.noIO, imp) {
				t.Errorf("%s -> %s\n\tbut %s", p.ImportPath, imp, r.why)
			}
		}
	}
}

// The state of the broker is pure: broker.go, its shell, alone imports the sockets.
func TestTheBrokersStateImportsNoSockets(t *testing.T) {
	files, err := filepath.Glob("mdp/broker/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var shells []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue // they test the shell, too
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range parsed.Imports {
			if imp.Path.Value == `"`+module+`/internal/mdp/internal/zsock"` {
				shells = append(shells, file)
			}
		}
	}
	if want := []string{"mdp/broker/broker.go"}; !slices.Equal(shells, want) {
		t.Errorf("%q import sockets, want %q alone: the state is messages and time in, messages out", shells, want)
	}
}

// TestDepsFindsWhatItForbids holds that a rule binds the packages below its own
// and sees through indirect imports: a rule that matches nothing would pass
// forever.
func TestDepsFindsWhatItForbids(t *testing.T) {
	r := rule{pkg: "internal/httpapi", not: []string{zmq4}}
	for path, want := range map[string]bool{
		module + "/internal/httpapi":       true,
		module + "/internal/httpapi/codec": true,
		module + "/internal/httpapix":      false,
		module + "/cmd/gateway":            false,
		"github.com/pebbe/zmq4":            false,
	} {
		if got := r.binds(path); got != want {
			t.Errorf("the rule for %s binds %s: got %v, want %v", r.pkg, path, got, want)
		}
	}
	pkgs := list(t)
	const zsock, client = module + "/internal/mdp/internal/zsock", module + "/internal/mdp/client"
	if chain := imports(pkgs, zsock, true)[zmq4]; len(chain) != 2 {
		t.Errorf("zsock's direct import of %s is not seen: %v", zmq4, chain)
	}
	if chain := imports(pkgs, client, false)[zmq4]; !slices.Equal(chain, []string{client, zsock, zmq4}) {
		t.Errorf("client's import of %s through zsock is not seen: %v", zmq4, chain)
	}
	if chain := imports(pkgs, client, true)[zmq4]; chain != nil {
		t.Errorf("%v is taken for a direct import", chain)
	}
}

func (r rule) binds(path string) bool {
	if !under(path, module) {
		return false
	}
	for _, e := range r.except {
		if under(path, module+"/"+e) {
			return false
		}
	}
	return r.pkg == "" || under(path, module+"/"+r.pkg)
}

// under reports whether path is one of roots or below it. A root that ends in a
// slash stands only for what is below it.
func under(path string, roots ...string) bool {
	for _, r := range roots {
		if path == r || strings.HasPrefix(path, strings.TrimSuffix(r, "/")+"/") {
			return true
		}
	}
	return false
}

// imports returns what the package path imports, directly and through others but
// zap, each with the chain of imports that leads there. The standard library is
// not looked into.
func imports(pkgs map[string]listed, path string, direct bool) map[string][]string {
	found := make(map[string][]string)
	todo := [][]string{{path}}
	for len(todo) > 0 {
		chain := todo[0]
		todo = todo[1:]
		for _, imp := range pkgs[chain[len(chain)-1]].Imports {
			if _, seen := found[imp]; seen {
				continue
			}
			found[imp] = append(slices.Clone(chain), imp)
			if !direct && !pkgs[imp].Standard && !under(imp, opaque) {
				todo = append(todo, found[imp])
			}
		}
	}
	return found
}

// list returns the module's packages and all that they import, by path, without
// their tests.
func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	pkgs := make(map[string]listed)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("decoding the answer of %s: %v", cmd, err)
		}
		pkgs[p.ImportPath] = p
	}
}
