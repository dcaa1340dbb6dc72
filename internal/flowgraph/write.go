package flowgraph

import (
	"fmt"
	"slices"
	"strconv"

	"mdpgateway/internal/ijson"
)

const (
	// MaxDigits is the length of the longest int that CPython reads
	// (sys.int_info.default_max_str_digits).
	MaxDigits = 4300

	// safeDigits is how many digits before the point are surely in a float's range.
	safeDigits = 308
)

// A writer rewrites the text of a checked object. It works on bytes, not on tokens:
// on good text that is simpler, and several times as fast.
type writer struct {
	encoding Encoding
	src      []byte
	dst      []byte
}

// write returns what is wrong with the number at an offset, if workers can't hold it.
func (w *writer) write() (at int, fault string) {
	if w.encoding != None {
		w.dst = slices.Grow(w.dst, len(w.src)+len(w.src)/4)
	}
	for i := 0; i < len(w.src); {
		switch w.src[i] {
		case ' ', '\t', '\n', '\r':
			i++
		case '{', '[', '}', ']':
			w.same(w.src[i : i+1])
			i++
		case ',':
			i += w.put(", ", ",")
		case ':':
			i += w.put(": ", ":")
		case 't':
			i += w.put("True", "true")
		case 'f':
			i += w.put("False", "false")
		case 'n':
			i += w.put("None", "null")
		case '"':
			i = w.str(i)
		default:
			end, fault := number(w.src, i)
			if fault != "" {
				return i, fault
			}
			w.same(w.src[i:end])
			i = end
		}
	}
	return 0, ""
}

// put appends what stands for a token of JSON in each encoding, and returns the token's length.
func (w *writer) put(python, json string) (length int) {
	switch w.encoding {
	case Python:
		w.dst = append(w.dst, python...)
	case JSON:
		w.dst = append(w.dst, json...)
	}
	return len(json)
}

// same appends what is the same in each encoding.
func (w *writer) same(text []byte) {
	if w.encoding != None {
		w.dst = append(w.dst, text...)
	}
}

// str writes the string at src[i].
func (w *writer) str(i int) (next int) {
	end, plain := stringEnd(w.src, i)
	literal := w.src[i:end]
	switch {
	case w.encoding != Python:
		w.same(literal)
	case plain:
		w.dst = append(w.dst, '\'')
		w.dst = append(w.dst, literal[1:len(literal)-1]...)
		w.dst = append(w.dst, '\'')
	default:
		w.dst = appendPythonString(w.dst, ijson.Unquote(literal))
	}
	return end
}

// CheckNumber says what is wrong with a JSON number that workers can't hold.
func CheckNumber(literal string) (fault string) {
	_, fault = number([]byte(literal), 0)
	return fault
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
