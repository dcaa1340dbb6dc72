package codec

import (
	"bytes"
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
)

// decodeFrame returns the frame that data, a valid JSON value, stands for. It is
// the frame with index i, or the member body if i is bare. The frame shares
// memory with data if it can.
func decodeFrame(i int, data, encoding jsontext.Value) ([]byte, error) {
	as, err := encodingOf(i, data, encoding)
	if err != nil {
		return nil, err
	}
	if as != gateway.JSON && data.Kind() != jsontext.KindString {
		return nil, badAt(atData(i), "it is %s, and the encoding %s wants a string", describe(data.Kind()), as)
	}
	switch as {
	case gateway.Text:
		return unquoted(data), nil
	case gateway.Base64:
		return decodeBase64(i, unquoted(data))
	}
	outer := 1 // levels around data: the envelope, and with frames the array and the frame
	if i != bare {
		outer = 3
	}
	if err := checkLevels(atData(i), data, outer); err != nil {
		return nil, err
	}
	dense := output{b: make([]byte, 0, len(data))}
	dense.dense(data)
	return dense.b, nil
}

// encodingOf returns the encoding that a caller named, or the one that goes
// without saying.
func encodingOf(i int, data, encoding jsontext.Value) (gateway.Encoding, error) {
	switch {
	case encoding == nil && data.Kind() == jsontext.KindString:
		return gateway.Text, nil
	case encoding == nil:
		return gateway.JSON, nil
	case encoding.Kind() == jsontext.KindString:
		name := unquoted(encoding)
		for _, as := range [...]gateway.Encoding{gateway.Text, gateway.JSON, gateway.Base64} {
			if string(name) == string(as) {
				return as, nil
			}
		}
		return "", badAt(atEncoding(i), "encoding is %.64q, want text, json or base64", name)
	}
	return "", badAt(atEncoding(i), "encoding is %s, want text, json or base64", describe(encoding.Kind()))
}

func decodeBase64(i int, text []byte) ([]byte, error) {
	// The decoder would skip line breaks.
	at := max(bytes.IndexByte(text, '\n'), bytes.IndexByte(text, '\r'))
	if at < 0 {
		frame, err := encoding64.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(text))), text)
		if err == nil {
			return frame, nil
		}
		at = len(text)
		if corrupt, ok := err.(base64.CorruptInputError); ok {
			at = int(corrupt)
		}
	}
	return nil, badAt(atData(i), "it is no base64 from byte %d on: want the standard alphabet, with padding", at)
}

func atData(i int) jsontext.Pointer {
	if i == bare {
		return "/body"
	}
	return element(i) + "/data"
}

func atEncoding(i int) jsontext.Pointer {
	if i == bare {
		return "/encoding"
	}
	return element(i) + "/encoding"
}

// unquoted returns what a valid JSON string means: a part of it, if it has no
// escapes.
func unquoted(literal jsontext.Value) []byte {
	if bytes.IndexByte(literal, '\\') < 0 {
		return literal[1 : len(literal)-1]
	}
	s, _ := jsontext.AppendUnquote(nil, literal)
	return s
}

// describe names a kind of JSON value as people do.
func describe(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginArray:
		return "an array"
	}
	return "an object"
}

// checkLevels says where a valid JSON value at a pointer, with outer levels around
// it, nests too deep.
func checkLevels(at jsontext.Pointer, value jsontext.Value, outer int) error {
	if outer+levels(value) <= maxDepth {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(value))
	for d.StackDepth()+outer <= maxDepth {
		if _, err := d.ReadToken(); err != nil {
			break
		}
	}
	return badAt(at+d.StackPointer(), tooDeep)
}

// whyInvalid returns the error of a text, to be found at a pointer, that is not
// one JSON value.
func whyInvalid(at jsontext.Pointer, text []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(len(text) > maxKept))
	if _, err := d.ReadValue(); err != nil {
		return syntax(at, err)
	}
	return badAt(at, "more text follows the object")
}
