package flowgraph

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/ijson"
)

// Parse reads a vars frame, as a worker does. Python reads what str(dict) prints of a dict of
// what JSON can hold; a tuple becomes an array. None reads nothing.
func (e Encoding) Parse(frame []byte) (ijson.Object, error) {
	switch e {
	case Python:
		text, err := fromPython(frame)
		if err != nil {
			return ijson.Object{}, err
		}
		return ijson.ParseObject(text)
	case JSON:
		return ijson.ParseObject(frame)
	}
	return ijson.Object{}, errors.New("the encoding none has no vars")
}

// A reader rewrites a Python literal as JSON, token by token. Whether the tokens make a
// value is for the parser of JSON to say, but for tuples: those are not in JSON.
type reader struct {
	src, dst []byte
	tuples   []tuple // the brackets that are open
}

// A tuple is a bracket that is open, of a tuple or of something else.
type tuple struct {
	is     bool
	commas int // directly within it
}

func fromPython(src []byte) ([]byte, error) {
	r := reader{src: src, dst: make([]byte, 0, len(src))}
	for i := 0; i < len(src); {
		n, err := r.token(src[i:])
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", i, err)
		}
		i += n
	}
	return r.dst, nil
}

// constants are Python's names in JSON, and never change.
var constants = map[string]string{"True": "true", "False": "false", "None": "null"}

// token rewrites the token that src begins with, and returns its length.
func (r *reader) token(src []byte) (n int, err error) {
	switch c := src[0]; {
	case c == ' ' || c == '\n' || c == '\t' || c == '\r':
		return 1, nil
	case c == '\'' || c == '"':
		return r.str(src)
	case c == '{' || c == '[' || c == '(':
		r.tuples = append(r.tuples, tuple{is: c == '('})
		r.dst = append(r.dst, opened(c))
		return 1, nil
	case c == '}' || c == ']' || c == ')':
		return 1, r.end(c)
	case c == ',':
		if last := len(r.tuples) - 1; last >= 0 {
			r.tuples[last].commas++
		}
		r.dst = append(r.dst, c)
		return 1, nil
	case c == ':':
		r.dst = append(r.dst, c)
		return 1, nil
	}
	for n < len(src) && isWord(src[n]) {
		n++
	}
	word := string(src[:n])
	if name, ok := constants[word]; ok {
		word = name
	} else if v := jsontext.Value(word); n == 0 || v.Kind() != jsontext.KindNumber || !v.IsValid() {
		return 0, fmt.Errorf("%.20q is nothing that vars can hold", src[:max(n, 1)])
	}
	r.dst = append(r.dst, word...)
	return n, nil
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '+' || c == '-' || c == '_' || c >= utf8.RuneSelf
}

func opened(c byte) byte {
	if c == '(' {
		return '['
	}
	return c
}

// end closes a bracket. Python allows a comma before it, and needs one in a tuple of one.
func (r *reader) end(c byte) error {
	last := len(r.tuples) - 1
	if last < 0 || r.tuples[last].is != (c == ')') {
		return fmt.Errorf("%q closes nothing", c)
	}
	t := r.tuples[last]
	r.tuples = r.tuples[:last]
	before := r.dst[len(r.dst)-1] // at least the bracket that is closed
	if t.is && t.commas == 0 && before != '[' {
		return errors.New("it is no tuple: it has no comma")
	}
	if before == ',' && len(r.dst) > 1 && r.dst[len(r.dst)-2] != '[' && r.dst[len(r.dst)-2] != '{' {
		r.dst = r.dst[:len(r.dst)-1]
	}
	if t.is {
		c = ']'
	}
	r.dst = append(r.dst, c)
	return nil
}

// str rewrites a string.
func (r *reader) str(src []byte) (n int, err error) {
	quote, text := src[0], make([]byte, 0, 32)
	for i := 1; i < len(src); {
		switch c := src[i]; {
		case c == quote:
			if r.dst, err = jsontext.AppendQuote(r.dst, text); err != nil {
				return 0, errors.New("a string is not UTF-8")
			}
			return i + 1, nil
		case c == '\n':
			return 0, errors.New("a string has no end")
		case c != '\\':
			text = append(text, c)
			i++
		default:
			char, length, err := escape(src[i:])
			if err != nil {
				return 0, err
			}
			text = utf8.AppendRune(text, char)
			i += length
		}
	}
	return 0, errors.New("a string has no end")
}

// escape reads an escape sequence. Those that str(dict) does not print are refused.
func escape(src []byte) (char rune, length int, err error) {
	if len(src) < 2 {
		return 0, 0, errors.New("a string has no end")
	}
	digits := 0
	switch c := src[1]; c {
	case '\\', '\'', '"':
		return rune(c), 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	if digits == 0 || len(src) < 2+digits {
		return 0, 0, fmt.Errorf("a string has the escape %.10q", src)
	}
	value, err := strconv.ParseUint(string(src[2:2+digits]), 16, 32)
	if err != nil || !utf8.ValidRune(rune(value)) || value > utf8.MaxRune {
		return 0, 0, fmt.Errorf("a string has the escape %.10q", src)
	}
	return rune(value), 2 + digits, nil
}
