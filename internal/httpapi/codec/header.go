package codec

import (
	"iter"
	"strings"
)

// blanks is the optional white space of HTTP's lists (RFC 9110 §5.6.3).
const blanks = " \t"

// split yields the parts of a header's value between separators that are not
// within a quoted string, without blanks around them and without empty ones.
func split(value string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for value != "" {
			end := partEnd(value, separator)
			if part := strings.Trim(value[:end], blanks); part != "" && !yield(part) {
				return
			}
			value = value[min(end+1, len(value)):]
		}
	}
}

// partEnd returns where the first part of value ends. A quoted string that is
// never closed ends with the value.
func partEnd(value string, separator byte) int {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == separator && !quoted:
			return i
		}
	}
	return len(value)
}

// unquote returns what a token or a quoted string means. Quoted pairs are left
// alone: nothing that is looked for needs one.
func unquote(word string) string {
	if len(word) >= 2 && word[0] == '"' && word[len(word)-1] == '"' {
		return word[1 : len(word)-1]
	}
	return word
}

// parameter returns the value of the first parameter of that name of a header such
// as Content-Disposition, or nothing if there is none.
func parameter(value, name string) string {
	for part := range split(value, ';') {
		key, word, ok := strings.Cut(part, "=")
		if ok && strings.EqualFold(strings.TrimRight(key, blanks), name) {
			return unquote(strings.TrimLeft(word, blanks))
		}
	}
	return ""
}
