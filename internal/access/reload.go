package access

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A source is the text of a list's entries, by which a file that was cut off is known.
type source struct {
	entries []string // the text of each, from its first line to that of the next; the last one's to the file's end
	ended   bool     // the file's last line is "...", YAML's mark for the end of a document
}

func newSource(root *yaml.Node, file []byte) (s source) {
	lines := strings.SplitAfter(string(file), "\n")
	end := len(lines)
	for i := len(root.Content) - 1; i >= 0; i-- {
		line := min(root.Content[i].Line-1, end)
		s.entries = append(s.entries, strings.Join(lines[line:end], ""))
		end = line
	}
	slices.Reverse(s.entries)
	s.ended = strings.HasSuffix("\n"+strings.TrimRight(string(file), " \t\r\n"), "\n...")
	return s
}

// CheckReload says why next can't replace the list in force while the gateway runs: it opens what
// was closed, it drops every caller, or it is the beginning of a file that is half written. A restart
// does what it says.
func (s *Store) CheckReload(next *List, now time.Time) error {
	before := s.snapshot().list
	switch {
	case before == nil:
		return nil
	case next == nil:
		return errors.New("there is no list of principals any more, want one: only a restart lets anyone call")
	case before.source.ended && !next.source.ended:
		return errors.New(`the list no longer ends with a line "...", want it: this file may be half written`)
	}
	if id, cut := cut(before, next); cut {
		return fmt.Errorf(`the list ends within the entry of %q, want it whole: this file may be half written; end it with a line "..." if it is not`, id)
	}
	if lost(before, next, now) {
		return errors.New("none of the principals in force is left, want at least one of them: only a restart replaces all")
	}
	return nil
}

// cut reports whether the last entry of next is the beginning of the same one in before, and means something
// else. A file that is cut off at a line's end is still YAML, in which that entry may have lost what limits it.
func cut(before, next *List) (id string, cut bool) {
	last := len(next.principals) - 1
	p, text := next.principals[last], next.source.entries[last]
	for i, old := range before.principals {
		if old.ID == p.ID {
			return p.ID, strings.HasPrefix(before.source.entries[i], text) && !reflect.DeepEqual(old, p)
		}
	}
	return p.ID, false
}

// lost reports whether every caller that before lets in would be refused by next. Proofs count, not ids: an
// id with another key locks out whoever has the key of before.
func lost(before, next *List, now time.Time) bool {
	valid := make(map[string]bool)
	for _, p := range next.principals {
		valid[p.proof()] = p.valid(now)
	}
	some := false
	for _, p := range before.principals {
		if p.valid(now) && valid[p.proof()] {
			return false
		}
		some = some || p.valid(now)
	}
	return some
}
