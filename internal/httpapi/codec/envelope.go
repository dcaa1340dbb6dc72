package codec

import (
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
)

// maxFrames bounds the frames of one request. Services have bounds of their own;
// this one keeps a body of nothing but separators from costing many times its
// size.
const maxFrames = 1 << 16

// bare stands for the members body and encoding where the index of a frame is
// expected.
const bare = -1

// An envelope is a JSON body in the making of a call:
//
//	{"body": "hello", "vars": {"sf": 7}}
//	{"body": "AAEC", "encoding": "base64"}
//	{"frames": ["first", {"data": {"x": 1}, "encoding": "json"}]}
type envelope struct {
	*tokenizer

	body, encoding jsontext.Value // as written; nil until met
	hasFrames      bool
	varsBy         string // what gave vars beside the body
	call           *gateway.Call
}

// CheckEnvelope returns how many frames a request whose JSON body this is would
// have, or the error with which Exchange.Decode would refuse it.
func CheckEnvelope(body []byte) (frames int, err error) {
	var call gateway.Call
	err = (&Exchange{body: jsonBody}).Decode(body, &call)
	return len(call.Frames), err
}

// decodeEnvelope reads a JSON body into call.
func decodeEnvelope(src []byte, varsBy string, call *gateway.Call) error {
	if frame, ok := plainBody(src); ok {
		call.Frames = append(call.Frames, frame)
		return nil
	}
	return readEnvelope(src, varsBy, call)
}

// readEnvelope reads any JSON body into call. What the body's values are is
// decided when all members are known: they may come in any order.
func readEnvelope(src []byte, varsBy string, call *gateway.Call) error {
	v := envelope{tokenizer: tokenizers.Get().(*tokenizer), call: call, varsBy: varsBy}
	v.read(src)
	defer v.release(len(src))
	if err := v.open(); err != nil {
		return err
	}
	for {
		name, err := v.member()
		if err != nil {
			return err
		}
		if name == nil {
			break
		}
		if err := v.set(name); err != nil {
			return err
		}
	}
	if _, err := v.d.ReadToken(); err != io.EOF {
		return badAt("", "more text follows the object")
	}
	if len(src) > maxKept {
		if at, found := duplicate(src); found {
			return badAt(at, twice)
		}
	}
	return v.finish()
}

// open reads the brace that an envelope begins with.
func (v *envelope) open() error {
	kind := v.d.PeekKind()
	if kind == jsontext.KindBeginObject {
		_, err := v.d.ReadToken()
		return err
	}
	if _, err := v.d.ReadValue(); err == io.EOF {
		return badAt("", "the body is empty, want a JSON object: send {} for an empty frame")
	} else if err != nil {
		return syntax("", err)
	}
	return badAt("", "the body is %s, want an object: %s", describe(kind), hint)
}

const hint = `put the payload in "body", or post with ?raw=true`

// member reads the name of the next member of an object, or nil at its end.
func (v *envelope) member() ([]byte, error) {
	if v.d.PeekKind() == jsontext.KindEndObject {
		_, err := v.d.ReadToken()
		return nil, err
	}
	name, err := v.d.ReadValue()
	if err != nil {
		return nil, syntax("", err)
	}
	return unquoted(name), nil
}

// value reads the value of a member or an element.
func (v *envelope) value() (jsontext.Value, error) {
	value, err := v.d.ReadValue()
	if err != nil {
		return nil, syntax("", err)
	}
	return value, nil
}

func (v *envelope) set(name []byte) (err error) {
	switch string(name) {
	case "body":
		v.body, err = v.value()
	case "encoding":
		v.encoding, err = v.value()
	case "frames":
		v.hasFrames = true
		err = v.frames()
	case "vars":
		var vars jsontext.Value
		if vars, err = v.value(); err == nil {
			err = v.vars(vars)
		}
	default:
		err = badAt(v.d.StackPointer(), "unknown member: %s", hint)
	}
	return err
}

func (v *envelope) vars(value jsontext.Value) error {
	if v.varsBy != "" {
		return badTwice(v.varsBy, "the body")
	}
	v.call.Vars = value
	return checkObject(value)
}

// frames reads the array of frames.
func (v *envelope) frames() error {
	if kind := v.d.PeekKind(); kind != jsontext.KindBeginArray {
		if _, err := v.value(); err != nil {
			return err
		}
		return badAt("/frames", "frames is %s, want an array", describe(kind))
	}
	_, err := v.d.ReadToken()
	for i := 0; err == nil && v.d.PeekKind() != jsontext.KindEndArray; i++ {
		if i == maxFrames {
			return tooManyFrames("#/frames")
		}
		err = v.frame(i)
	}
	if err != nil {
		return err
	}
	if _, err = v.d.ReadToken(); err != nil {
		return syntax("", err)
	}
	if len(v.call.Frames) == 0 {
		return badAt("/frames", "frames is empty, want at least one: leave it out for an empty frame")
	}
	return nil
}

// frame reads one element of frames: a string, or an object of data and encoding.
func (v *envelope) frame(i int) error {
	kind := v.d.PeekKind()
	if kind == jsontext.KindBeginObject {
		return v.frameObject(i)
	}
	value, err := v.value()
	if err != nil {
		return err
	}
	if kind != jsontext.KindString {
		return badAt(element(i), `the frame is %s, want a string or {"data": …, "encoding": …}`, describe(kind))
	}
	v.call.Frames = append(v.call.Frames, unquoted(value))
	return nil
}

func (v *envelope) frameObject(i int) error {
	if _, err := v.d.ReadToken(); err != nil {
		return err
	}
	var data, encoding jsontext.Value
	for {
		name, err := v.member()
		if err != nil {
			return err
		}
		switch {
		case name == nil:
			if data == nil {
				return badAt(element(i), "data is missing")
			}
			return v.add(i, data, encoding)
		case string(name) == "data":
			data, err = v.value()
		case string(name) == "encoding":
			encoding, err = v.value()
		default:
			err = badAt(v.d.StackPointer(), "unknown member: a frame has data and encoding")
		}
		if err != nil {
			return err
		}
	}
}

// finish makes frames of body and encoding.
func (v *envelope) finish() error {
	switch {
	case v.body != nil && v.hasFrames:
		return badAt("/frames", "body and frames are both there, want one of them")
	case v.encoding != nil && v.hasFrames:
		return badAt("/encoding", `encoding goes with body: give each frame its own, {"data": …, "encoding": …}`)
	case v.encoding != nil && v.body == nil:
		return badAt("/encoding", "encoding is there without body")
	case v.body != nil:
		return v.add(bare, v.body, v.encoding)
	}
	return nil
}

// add appends the frame that data and encoding, which may be nil, stand for.
func (v *envelope) add(i int, data, encoding jsontext.Value) error {
	frame, err := decodeFrame(i, data, encoding)
	if err != nil {
		return err
	}
	v.call.Frames = append(v.call.Frames, frame)
	return nil
}

// element returns the pointer to a frame.
func element(i int) jsontext.Pointer {
	return jsontext.Pointer("/frames/" + strconv.Itoa(i))
}

func tooManyFrames(pointer string) error {
	const detail = "more than 65536 frames"
	return &gateway.Error{Kind: gateway.InvalidVars, Detail: detail, Faults: []gateway.Fault{{Pointer: pointer, Detail: detail}}}
}
