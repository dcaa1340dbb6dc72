package main

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/yamlnode"
)

// FuzzAFileIsReadOrRefusedInOneLine holds that no file, however broken, makes the
// gateway panic or its error unreadable.
func FuzzAFileIsReadOrRefusedInOneLine(f *testing.F) {
	for _, seed := range []string{
		"", "# nothing", "---", "--- !!null", "~", "timeout: 1s", "timeout: [1s, *a]", "a: &a [*a]", "timeout: &a {x: *a}",
		"brokers:\n- &b {endpoint: tcp://a:1, dialect: loudify}\n- *b", "brokers: &x [*x]", "brokers: [{endpoint: [1]}]",
		"<<: {timeout: 1s}", "? [a]\n: b", "timeout: !!binary aGk=", "timeout: |\n  1s\n", "\x00", "\xff\xfe", "a: b: c", "timeout: *x",
		"services: {x: {}}",
		`brokers: [{endpoint: tcp://a:1, mmi: hint, dialect: {header: A, delimiter: {reply: false}, final: "\x03", status_frame: {ok: a, failed: b}}}]`,
		"brokers: [{endpoint: tcp://a:1, dialect: {header: !!binary /w==, error: b, final: b, mmi: off}}]", "timeout: 1s\n...\nrest", "%YAML 1.1\n---\ntimeout: 1s", "timeout: \"\\n\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &file{name: "f", settings: make(map[string]*yaml.Node)}
		err := c.parse(data, []string{"timeout", "listen"})
		if err == nil {
			for _, name := range []string{"timeout", "listen"} {
				if key, text, ok := c.lookup(name); ok && (text == "" || !strings.HasPrefix(key, "f:")) {
					t.Errorf("%q: %s is %q at %q", data, name, text, key)
				}
			}
			_, err = c.endpoints(mdp.V01, mdp.MMIOn)
		}
		if err != nil && yamlnode.OneLine(err.Error()) == "" {
			t.Errorf("%q: the error is empty", data)
		}
	})
}
