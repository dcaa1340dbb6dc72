package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"go.yaml.in/yaml/v3"

	"mdpgateway/api"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// contract is openapi.yaml as far as the tests read it.
type contract struct {
	OpenAPI    string `yaml:"openapi"`
	Paths      map[string]pathItem
	Components struct {
		Schemas   map[string]schema
		Responses map[string]struct {
			Content map[string]struct {
				Examples map[string]struct{ Value map[string]any }
			}
		}
	}
}

// A pathItem has operations by method, beside what they have in common.
type pathItem struct {
	Parameters []yaml.Node
	Operations map[string]operation `yaml:",inline"`
}

// A schema is one of a problem, or of what all problems have.
type schema struct {
	Required      []string
	Enum          []string
	Properties    map[string]property
	Discriminator struct{ Mapping map[string]string }
}

type property struct {
	Const any
	Enum  []string
}

type operation struct {
	ID        string               `yaml:"operationId"`
	Responses map[string]yaml.Node `yaml:"responses"`
	Security  *[]yaml.Node         `yaml:"security"` // nil: as everywhere
}

func readContract(t *testing.T) contract {
	t.Helper()
	var c contract
	if err := yaml.Unmarshal(api.OpenAPI, &c); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.OpenAPI, "3.1.") {
		t.Fatalf("openapi is %q, want 3.1", c.OpenAPI)
	}
	return c
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

func TestTheContractHasTheRoutesThatThereAre(t *testing.T) {
	a, err := New(Config{Caller: caller(echo), Health: health{}, Metrics: http.NotFoundHandler(), Jobs: new(jobs.Runner)})
	if err != nil {
		t.Fatal(err)
	}
	var served, gets, heads, described []string
	err = chi.Walk(a.mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method == http.MethodHead {
			heads = append(heads, route)
			return nil
		}
		if method == http.MethodGet && route != "/jobs/{id}/events" {
			gets = append(gets, route)
		}
		served = append(served, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for path, item := range readContract(t).Paths {
		for method, op := range item.Operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			if op.ID == "" || ids[op.ID] {
				t.Errorf("%s %s has the operationId %q, want one of its own", method, path, op.ID)
			}
			ids[op.ID] = true
		}
	}
	if !slices.Equal(sorted(served), sorted(described)) {
		t.Errorf("the routes are\n%v\nand the contract's\n%v", served, described)
	}
	if !slices.Equal(sorted(gets), sorted(heads)) {
		t.Errorf("the routes of GET are\n%v\nand those of HEAD, which the contract says of all but one,\n%v", gets, heads)
	}
}

// members returns the members that JSON of a type has, and those that it always
// has.
func members(typ reflect.Type) (all, always []string) {
	for field := range typ.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		all = append(all, name)
		if options == "" {
			always = append(always, name)
		}
	}
	return all, always
}

func TestTheContractHasTheMembersThatProblemsHave(t *testing.T) {
	schemas := readContract(t).Components.Schemas
	every, required := members(reflect.TypeFor[problem]())
	more, _ := members(reflect.TypeFor[overdue]())
	every = append(every, more...)

	details := schemas["ProblemDetails"]
	if got := sorted(details.Required); !slices.Equal(got, sorted(required)) {
		t.Errorf("the contract requires the members\n%v\nthe code always writes\n%v", got, required)
	}
	described := maps.Clone(details.Properties)
	for _, ref := range schemas["Problem"].Discriminator.Mapping {
		maps.Copy(described, schemas[strings.TrimPrefix(ref, "#/components/schemas/")].Properties)
	}
	if got := slices.Sorted(maps.Keys(described)); !slices.Equal(got, sorted(every)) {
		t.Errorf("the contract's problems have the members\n%v\nthe code's\n%v", got, every)
	}
}

func TestTheContractHasASchemaForEachCode(t *testing.T) {
	schemas := readContract(t).Components.Schemas
	mapping := schemas["Problem"].Discriminator.Mapping
	var codes []string
	for _, kind := range gateway.Kinds() {
		codes = append(codes, string(kind))
		p := newProblem(&gateway.Error{Kind: kind}, "", "")
		got := schemas[strings.TrimPrefix(mapping[string(kind)], "#/components/schemas/")].Properties
		want := map[string]any{"code": string(kind), "title": p.Title, "status": p.Status, "executed": string(p.Executed), "retryable": p.Retryable}
		for name, value := range want {
			// The rule's; and of a job that was canceled, since of a call nobody sees it.
			free := (kind == gateway.WorkerError || kind == gateway.Canceled) && name == "status"
			free = free || name == "retryable" && got["executed"].Enum != nil && got[name].Const == nil
			if executed := got[name].Enum; got[name].Const != value && !slices.Contains(executed, string(p.Executed)) && !free {
				t.Errorf("the contract's %s has the %s %v, want %v", kind, name, got[name], value)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(mapping)); !slices.Equal(got, sorted(codes)) {
		t.Errorf("the contract's problems are\n%v\nmdp's kinds\n%v", got, codes)
	}
	if got := schemas["ProblemCode"].Enum; !slices.Equal(sorted(got), codes) {
		t.Errorf("the contract has the codes\n%v\nmdp's kinds are\n%v", got, codes)
	}
}

func TestTheContractHasEveryStatusAndAnExampleOfEachCode(t *testing.T) {
	c := readContract(t)
	statuses := map[string]bool{"200": true, "202": true, "default": true}
	codes := map[any]bool{}
	for _, kind := range gateway.Kinds() {
		codes[string(kind)] = true
		switch kind {
		case gateway.Canceled, gateway.JobNotDone, gateway.JobOver: // of jobs, not of calls
		default:
			statuses[strconv.Itoa(problems[kind].status)] = true
		}
	}
	responses := c.Paths["/services/{name}"].Operations["post"].Responses
	if got, want := slices.Sorted(maps.Keys(responses)), slices.Sorted(maps.Keys(statuses)); !slices.Equal(got, want) {
		t.Errorf("the contract has the statuses %v of a call, the table has %v", got, want)
	}
	for status, node := range responses {
		var response struct {
			Ref string `yaml:"$ref"`
		}
		if err := node.Decode(&response); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(response.Ref, "#/components/responses/")
		for example, e := range c.Components.Responses[name].Content["application/problem+json"].Examples {
			delete(codes, e.Value["code"])
			if status != "default" && fmt.Sprint(e.Value["status"]) != status {
				t.Errorf("the example %s of %s has the status %v", example, status, e.Value["status"])
			}
		}
	}
	for _, e := range c.Components.Responses["JobConflict"].Content["application/problem+json"].Examples {
		delete(codes, e.Value["code"])
	}
	if len(codes) > 0 {
		t.Errorf("no response has an example of %v", slices.Collect(maps.Keys(codes)))
	}
}

func TestEveryReferenceInTheContractLeadsSomewhere(t *testing.T) {
	var root map[string]any
	if err := yaml.Unmarshal(api.OpenAPI, &root); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, n := range node {
				walk(n)
			}
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok {
				found++
				if !resolves(root, ref) {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, n := range node {
				walk(n)
			}
		}
	}
	walk(root)
	if found < 10 {
		t.Errorf("%d references were found", found)
	}
}

func resolves(root any, ref string) bool {
	path, local := strings.CutPrefix(ref, "#/")
	for _, name := range strings.Split(path, "/") {
		node, ok := root.(map[string]any)
		if !ok || node[name] == nil {
			return false
		}
		root = node[name]
	}
	return local
}
