package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// logKeys are the keys of the fields of all logs. One thing has one key, and one key is one thing: people
// search by them, and programs count by them.
var logKeys = strings.Fields(`
	address attempts broker bytes calls code command connections delay dialect drain endpoint error expected expires frames gogc header in interrupted issuer job key known
	limit_bytes limit_from lines messages method op origin origins out peer principal principals queue queued reason received reconnects
	request_id route routing_id server service services set_by setting settings spans stack state status
	timeout tls took trace_id try url value
`)

// logField is how the code names the key of a field.
var logField = regexp.MustCompile(`(?:\bzap\.(?:String|Strings|Int|Int64|Uint64|Float64|Bool|Duration|Time|Stringer|Binary|ByteString|Any|Object|NamedError)|\bto\.Add[A-Z]\w*)\("([^"]*)"`)

func TestTheKeysOfTheLogsAreThoseOfTheList(t *testing.T) {
	used := make(map[string]bool)
	for _, root := range []string{"../cmd", "."} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, found := range logField.FindAllSubmatch(source, -1) {
				key := string(found[1])
				used[key] = true
				if !slices.Contains(logKeys, key) {
					t.Errorf("%s logs the key %q, want one of the list", path, key)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	used["error"] = true // zap.Error's
	for _, key := range logKeys {
		if !used[key] {
			t.Errorf("nothing logs the key %q of the list", key)
		}
	}
}
