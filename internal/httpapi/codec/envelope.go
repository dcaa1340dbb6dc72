package codec

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
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
	d    *ijson.Decoder
	held *held

	body, encoding jsontext.Value // as written; nil until met
	hasFrames      bool
	varsBy         string // what gave vars
	call           *gateway.Call
}

// CheckEnvelope returns how many frames a request whose JSON body this is would
// have, or the error with which Exchange.Decode would refuse it.
func CheckEnvelope(body []byte) (frames int, err error) {
	var call gateway.Call
	err = (&Exchange{body: jsonBody}).Decode(body, &call)
	return len(call.Frames), err
}

// decodeEnvelope reads a JSON body into call. What the body's values are is decided
// when all members are known: they may come in any order.
func decodeEnvelope(src []byte, varsBy string, call *gateway.Call, h *held) error {
	v := envelope{held: h, call: call, varsBy: varsBy}
	err := v.read(src)
	if h.names = 0; err == nil {
		err = v.finish()
	}
	return badJSON("", err)
}

func (v *envelope) read(src []byte) error {
	v.d = ijson.NewDecoder(src)
	v.d.Room = v.held
	defer v.d.Free()
	if err := v.open(); err != nil {
		return err
	}
	for {
		name, err := v.d.Member()
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
	return v.d.End()
}

// open reads the brace that an envelope begins with.
func (v *envelope) open() error {
	kind := v.d.Kind()
	if kind == jsontext.KindBeginObject {
		return v.d.Token()
	}
	if _, err := v.d.Value(); err == ijson.ErrEmpty {
		return badAt("", "the body is empty, want a JSON object: send {} for an empty frame")
	} else if err != nil {
		return err
	}
	return badAt("", "the body is %s, want an object: %s", ijson.Describe(kind), hint)
}

const hint = `put the payload in "body", or post with ?raw=true`

// set reads the value of a member.
func (v *envelope) set(name []byte) (err error) {
	switch string(name) {
	case "body":
		return v.once(&v.body)
	case "encoding":
		return v.once(&v.encoding)
	case "frames":
		return v.frames()
	case "vars":
		if v.varsBy != "" {
			return badTwice(v.varsBy, "the body")
		}
		v.varsBy = "the body"
		v.call.Vars, err = v.d.Object()
		return err
	}
	return badAt(v.d.Pointer(), "unknown member: %s", hint)
}

// once reads a value that may be there only once.
func (v *envelope) once(dst *jsontext.Value) (err error) {
	if *dst != nil {
		return badAt(v.d.Pointer(), ijson.Twice)
	}
	*dst, err = v.d.Value()
	return err
}

// frames reads the array of frames.
func (v *envelope) frames() error {
	if v.hasFrames {
		return badAt("/frames", ijson.Twice)
	}
	v.hasFrames = true
	if kind := v.d.Kind(); kind != jsontext.KindBeginArray {
		if _, err := v.d.Value(); err != nil {
			return err
		}
		return badAt("/frames", "frames is %s, want an array", ijson.Describe(kind))
	}
	err := v.d.Token()
	for i := 0; err == nil && v.d.Kind() != jsontext.KindEndArray; i++ {
		if i == maxFrames {
			return tooManyFrames("#/frames")
		}
		err = v.frame(i)
	}
	if err != nil {
		return err
	}
	if len(v.call.Frames) == 0 {
		return badAt("/frames", "frames is empty, want at least one: leave it out for an empty frame")
	}
	return v.d.Token()
}

// frame reads one element of frames: a string, or an object of data and encoding.
func (v *envelope) frame(i int) error {
	kind := v.d.Kind()
	if kind == jsontext.KindBeginObject {
		return v.frameObject(i)
	}
	value, err := v.d.Value()
	if err != nil {
		return err
	}
	if kind != jsontext.KindString {
		return badAt(element(i), `the frame is %s, want a string or {"data": …, "encoding": …}`, ijson.Describe(kind))
	}
	if err := v.held.take(frameCost + unquoted(value)); err != nil {
		return err
	}
	v.call.Frames = append(v.call.Frames, ijson.Unquote(value))
	return nil
}

func (v *envelope) frameObject(i int) error {
	if err := v.d.Token(); err != nil {
		return err
	}
	var data, encoding jsontext.Value
	for {
		name, err := v.d.Member()
		switch {
		case err != nil:
			return err
		case name == nil && data == nil:
			return badAt(element(i), "data is missing")
		case name == nil:
			return v.add(i, data, encoding)
		case string(name) == "data":
			err = v.once(&data)
		case string(name) == "encoding":
			err = v.once(&encoding)
		default:
			err = badAt(v.d.Pointer(), "unknown member: a frame has data and encoding")
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
	frame, err := decodeFrame(i, data, encoding, v.held)
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
