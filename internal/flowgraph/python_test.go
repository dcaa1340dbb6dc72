package flowgraph_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/flowgraph"
)

// An interpreter is a running CPython that judges frames (testdata/compare.py).
type interpreter struct {
	in  *bufio.Writer
	out *bufio.Reader
}

// startPython starts the interpreter that workers run on Debian, or else the one
// in PATH.
func startPython(t *testing.T) *interpreter {
	t.Helper()
	path := "/usr/bin/python3"
	if _, err := exec.LookPath(path); err != nil {
		path = "python3"
	}
	cmd := exec.CommandContext(t.Context(), path, "testdata/compare.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs a python3: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("python3 ended with %v", err)
		}
	})
	return &interpreter{bufio.NewWriter(in), bufio.NewReader(out)}
}

// judge fails the test if frame is not what object means.
func (p *interpreter) judge(t *testing.T, mode string, object, frame []byte) {
	t.Helper()
	for _, chunk := range [][]byte{[]byte(mode), object, frame} {
		binary.Write(p.in, binary.BigEndian, uint32(len(chunk)))
		p.in.Write(chunk)
	}
	if err := p.in.Flush(); err != nil {
		t.Fatalf("python3 is gone: %v", err)
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("python3 is gone: %v", err)
	}
	if answer != "ok\n" {
		t.Errorf("%s: %s becomes %s\n%.2000s", mode, object, frame, answer)
	}
}

func TestPythonReadsBackTheSameValue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	python := startPython(t)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), numbers: anyNumber, characters: anyCharacter}
	for range 4000 {
		object := g.object()
		python.judge(t, "value", object, mustAppend(t, flowgraph.Python, object))
		python.judge(t, "json", object, mustAppend(t, flowgraph.JSON, object))
	}
}

func TestFrameIsWhatPythonPrints(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	python := startPython(t)
	for mode, characters := range map[string]func(*generator) rune{"str": asciiCharacter, "ascii": anyCharacter} {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), numbers: pythonNumber, characters: characters}
		for range 4000 {
			object := g.object()
			python.judge(t, mode, object, mustAppend(t, flowgraph.Python, object))
		}
	}
}

// Each character and each pair of quotes is met here once, whatever the seed.
func TestPythonPrintsEveryCharacterAsWeDo(t *testing.T) {
	python := startPython(t)
	for r := rune(0); r < 0x3000; r++ {
		object := fmt.Appendf(nil, `{"%s":"it's \u%04x"}`, escape(r), r)
		python.judge(t, "ascii", object, mustAppend(t, flowgraph.Python, object))
	}
}

func TestPythonReadsTheLimits(t *testing.T) {
	python := startPython(t)
	for _, value := range []string{
		strings.Repeat("[", 62) + strings.Repeat("]", 62),
		strings.Repeat(`{"a":`, 62) + "1" + strings.Repeat("}", 62),
		strings.Repeat("9", 4300), "-" + strings.Repeat("9", 4300),
		strings.Repeat("9", 308) + ".0", "0." + strings.Repeat("1", 5000), "1.7976931348623157e308",
		"-0", "-0.0", "1E5", "1e-400", "0e999999", "4.9e-324", "0." + strings.Repeat("0", 400) + "1e401",
	} {
		object := []byte(`{"v":` + value + `}`)
		python.judge(t, "value", object, mustAppend(t, flowgraph.Python, object))
	}
}

func mustAppend(t *testing.T, encoding flowgraph.Encoding, object []byte) []byte {
	t.Helper()
	frame, err := appendText(encoding, nil, object)
	if err != nil {
		t.Fatalf("%s of %s: %v", encoding, object, err)
	}
	return frame
}

// A generator makes random JSON objects.
type generator struct {
	*rand.Rand
	numbers    func(*generator) string
	characters func(*generator) rune
}

func (g *generator) object() []byte {
	var b strings.Builder
	g.writeObject(&b, 0)
	return []byte(b.String())
}

func (g *generator) writeObject(b *strings.Builder, depth int) {
	b.WriteString("{" + g.space())
	for i := range g.IntN(6) {
		if i > 0 {
			b.WriteString("," + g.space())
		}
		// The index keeps names apart.
		fmt.Fprintf(b, `"%s%d"%s:%s`, g.text(), i, g.space(), g.space())
		g.writeValue(b, depth+1)
		b.WriteString(g.space())
	}
	b.WriteString("}" + g.space())
}

func (g *generator) writeValue(b *strings.Builder, depth int) {
	kind := g.IntN(8)
	switch {
	case kind == 0 && depth < 6:
		g.writeObject(b, depth)
	case kind <= 1 && depth < 6:
		b.WriteString("[" + g.space())
		for i := range g.IntN(5) {
			if i > 0 {
				b.WriteString(g.space() + "," + g.space())
			}
			g.writeValue(b, depth+1)
		}
		b.WriteString(g.space() + "]")
	case kind <= 3:
		b.WriteString(`"` + g.text() + `"`)
	case kind <= 6:
		b.WriteString(g.numbers(g))
	default:
		b.WriteString([]string{"true", "false", "null"}[g.IntN(3)])
	}
}

func (g *generator) space() string {
	return []string{"", "", "", " ", "\n", "\t\r  "}[g.IntN(6)]
}

// text returns the inside of a JSON string.
func (g *generator) text() string {
	var b strings.Builder
	for range g.IntN(8) {
		r := g.characters(g)
		if r < ' ' || r == '"' || r == '\\' || g.IntN(4) == 0 {
			b.WriteString(escape(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escape returns r as JSON escapes it: short where there is a short form.
func escape(r rune) string {
	if i := strings.IndexRune("\"\\/\b\f\n\r\t", r); i >= 0 {
		return `\` + `"\/bfnrt`[i:i+1]
	}
	if r > 0xffff {
		return fmt.Sprintf(`\u%04x\u%04X`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

func asciiCharacter(g *generator) rune {
	if g.IntN(3) == 0 {
		return []rune(`'"\/` + "\n\r\t\x00\x7f")[g.IntN(9)]
	}
	return rune(g.IntN(0x80))
}

func anyCharacter(g *generator) rune {
	switch g.IntN(4) {
	case 0:
		return rune(0x80 + g.IntN(0x780))
	case 1:
		return rune(0x800 + g.IntN(0xd000))
	case 2:
		return rune(0xe000 + g.IntN(0x110000-0xe000))
	}
	return asciiCharacter(g)
}

// anyNumber returns a number in any form that JSON knows and a worker can hold.
func anyNumber(g *generator) string {
	sign := []string{"", "-"}[g.IntN(2)]
	integer := strconv.FormatUint(g.Uint64()>>g.IntN(64), 10)
	switch g.IntN(5) {
	case 0:
		return sign + "0"
	case 1:
		return sign + integer
	case 2:
		return sign + "1" + integer + strings.Repeat("0", g.IntN(4000))
	case 3:
		return sign + integer + "." + strconv.Itoa(g.IntN(1000))
	}
	exponent := strconv.Itoa(g.IntN(280))
	return sign + integer + []string{"", ".0", ".50"}[g.IntN(3)] + []string{"e", "E", "e+", "E-", "e-00"}[g.IntN(5)] + exponent
}

// pythonNumber returns a number as Python prints it.
func pythonNumber(g *generator) string {
	if g.IntN(2) == 0 {
		magnitude := g.Int64() >> g.IntN(64)
		return strconv.FormatInt(magnitude*int64(1-2*g.IntN(2)), 10)
	}
	f := math.Float64frombits(g.Uint64())
	if g.IntN(2) == 0 {
		f = float64(g.IntN(2000)-1000) / 8
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0.1
	}
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
