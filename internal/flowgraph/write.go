package flowgraph

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxSize is the length of the longest JSON text. Finding duplicate names in
	// it takes at most ten times its memory. Far lower bounds of frames belong to
	// who sends them.
	MaxSize = 16 << 20

	// MaxDepth is the deepest nesting of objects and arrays, the object itself
	// included. CPython's parser ends at 200.
	MaxDepth = 64

	// MaxDigits is the length of the longest int that CPython reads
	// (sys.int_info.default_max_str_digits).
	MaxDigits = 4300

	// safeDigits is how many digits before the point are surely in a float's range.
	safeDigits = 308
)

const tooDeep = "more than 64 levels of objects and arrays"

// check says why text is not one JSON object, but for duplicate names, depth and
// numbers, which the writer meets anyway.
func check(text []byte) error {
	if len(text) > MaxSize {
		detail := fmt.Sprintf("a text of %d bytes, want at most %d", len(text), MaxSize)
		return &Error{Pointer: "#", Detail: detail, Range: true}
	}
	if jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true)) {
		if jsontext.Value(text).Kind() != jsontext.KindBeginObject {
			return &Error{Pointer: "#", Detail: "not a JSON object"}
		}
		return nil
	}
	d := newDecoder(text)
	_, err := d.ReadValue()
	if err == io.EOF {
		return &Error{Pointer: "#", Detail: "not a JSON object: it is empty"}
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformed(syntax)
	}
	return &Error{Pointer: "#", Detail: "more text follows the object"}
}

// A writer rewrites one JSON text that check has passed. It works on bytes, not
// on tokens: on good text that is simpler, and several times as fast.
type writer struct {
	encoding Encoding
	src      []byte
	dst      []byte
	members  members

	depth  int
	object [MaxDepth]uint32 // by depth: which object it is, counted from 1; 0 is an array
	opened uint32           // objects so far
	name   bool             // the next string is a member's name
}

func (w *writer) write() error {
	if w.encoding != None {
		w.dst = slices.Grow(w.dst, len(w.src)+len(w.src)/4)
	}
	for i := 0; i < len(w.src); {
		var err error
		switch c := w.src[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '{', '[':
			i, err = w.open(i)
		case '}', ']':
			w.depth--
			w.same(w.src[i : i+1])
			i++
		case ',':
			w.name = w.object[w.depth-1] != 0
			w.put(", ", ",")
			i++
		case ':':
			w.name = false
			w.put(": ", ":")
			i++
		case '"':
			i, err = w.str(i)
		default:
			i, err = w.scalar(i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put appends what stands for a token in each encoding.
func (w *writer) put(python, json string) {
	switch w.encoding {
	case Python:
		w.dst = append(w.dst, python...)
	case JSON:
		w.dst = append(w.dst, json...)
	}
}

// same appends what is the same in each encoding.
func (w *writer) same(text []byte) {
	if w.encoding != None {
		w.dst = append(w.dst, text...)
	}
}

// open begins the object or array at src[i].
func (w *writer) open(i int) (next int, err error) {
	if w.depth == MaxDepth {
		return i, &Error{Pointer: pointerAt(w.src, i), Detail: tooDeep}
	}
	if w.name = w.src[i] == '{'; w.name {
		w.opened++
		w.object[w.depth] = w.opened
	} else {
		w.object[w.depth] = 0
	}
	w.same(w.src[i : i+1])
	w.depth++
	return i + 1, nil
}

// str writes the string at src[i], which is a value or a member's name.
func (w *writer) str(i int) (next int, err error) {
	end, plain := stringEnd(w.src, i)
	literal := w.src[i:end]
	if w.name && !w.members.add(w.object[w.depth-1], i, end, plain) {
		return i, &Error{Pointer: pointerAt(w.src, i), Detail: "duplicate member name"}
	}
	switch {
	case w.encoding == JSON:
		w.dst = append(w.dst, literal...)
	case w.encoding == Python && plain:
		w.dst = append(w.dst, '\'')
		w.dst = append(w.dst, literal[1:len(literal)-1]...)
		w.dst = append(w.dst, '\'')
	case w.encoding == Python:
		w.dst = appendPythonString(w.dst, literal)
	}
	return end, nil
}

// scalar writes the number, true, false or null at src[i].
func (w *writer) scalar(i int) (next int, err error) {
	switch w.src[i] {
	case 't':
		w.put("True", "true")
		return i + len("true"), nil
	case 'f':
		w.put("False", "false")
		return i + len("false"), nil
	case 'n':
		w.put("None", "null")
		return i + len("null"), nil
	}
	end, fault := number(w.src, i)
	if fault != "" {
		return i, &Error{Pointer: pointerAt(w.src, i), Detail: fault, Range: true}
	}
	w.same(w.src[i:end])
	return end, nil
}

// number finds the end of the number at src[i] and says what is wrong with it.
// Python reads every JSON number as JSON means it, an int without point and
// exponent as an int, within the bounds checked here.
func number(src []byte, i int) (end int, fault string) {
	digits, isFloat, hasExponent := 0, false, false
	for end = i; end < len(src); end++ {
		switch c := src[end]; {
		case '0' <= c && c <= '9':
			if !isFloat {
				digits++
			}
			continue
		case c == '.':
			isFloat = true
			continue
		case c == 'e' || c == 'E':
			isFloat, hasExponent = true, true
			continue
		case c == '-' || c == '+':
			continue
		}
		break
	}
	if !isFloat && digits > MaxDigits {
		return end, fmt.Sprintf("an integer of %d digits, want at most %d", digits, MaxDigits)
	}
	if isFloat && (hasExponent || digits > safeDigits) {
		if _, err := strconv.ParseFloat(string(src[i:end]), 64); err != nil {
			return end, fmt.Sprintf("%.40s is out of a float's range", src[i:end])
		}
	}
	return end, ""
}
