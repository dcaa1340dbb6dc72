package httpapi

import (
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
	"mdpgateway/internal/mdp"
)

// contract is openapi.yaml as far as the tests read it.
type contract struct {
	OpenAPI    string                          `yaml:"openapi"`
	Paths      map[string]map[string]operation `yaml:"paths"`
	Components struct {
		Schemas struct {
			Problem struct {
				Required   []string             `yaml:"required"`
				Properties map[string]yaml.Node `yaml:"properties"`
			} `yaml:"Problem"`
		} `yaml:"schemas"`
	} `yaml:"components"`
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
	a, err := New(Config{Caller: caller(echo), Health: health{}, Metrics: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	var served, described []string
	err = chi.Walk(a.mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served = append(served, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for path, operations := range readContract(t).Paths {
		for method, op := range operations {
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
}

func TestTheContractHasTheProblemsThatThereAre(t *testing.T) {
	c := readContract(t)
	schema := c.Components.Schemas.Problem

	var want, required []string
	for _, typ := range []reflect.Type{reflect.TypeFor[problem](), reflect.TypeFor[overdue]()} {
		for field := range typ.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			want = append(want, name)
			if options == "" && typ == reflect.TypeFor[problem]() {
				required = append(required, name)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, sorted(want)) {
		t.Errorf("the contract's problem has the members\n%v\nthe code's\n%v", got, want)
	}
	if got := sorted(schema.Required); !slices.Equal(got, sorted(required)) {
		t.Errorf("the contract requires the members\n%v\nthe code always writes\n%v", got, required)
	}

	var codes, kinds []string
	statuses := map[string]bool{"200": true}
	code := schema.Properties["code"]
	if err := code.Decode(&struct {
		Enum *[]string `yaml:"enum"`
	}{&codes}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range mdp.Kinds() {
		if kind != mdp.Canceled { // nobody sees it
			kinds = append(kinds, string(kind))
			statuses[strconv.Itoa(problems[kind].status)] = true
		}
	}
	if !slices.Equal(sorted(codes), sorted(kinds)) {
		t.Errorf("the contract has the codes\n%v\nmdp has the kinds\n%v", codes, kinds)
	}
	call := c.Paths["/services/{name}"]["post"]
	if got, want := slices.Sorted(maps.Keys(call.Responses)), slices.Sorted(maps.Keys(statuses)); !slices.Equal(got, want) {
		t.Errorf("the contract has the statuses %v of a call, the table has %v", got, want)
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
