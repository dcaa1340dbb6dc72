package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// The messages whose lines are for people: what they say is not in quotes.
const (
	requestMessage = "request"
	readyMessage   = "ready for calls"
)

// A consoleEncoder writes lines for people: columns that do not shift, and of a request what fits into them.
type consoleEncoder struct {
	zapcore.Encoder                 // of lines with a level
	bare            zapcore.Encoder // of requests, which have their method in its place
	colour          bool
}

func newConsoleEncoder(cfg zapcore.EncoderConfig, colour bool) zapcore.Encoder {
	cfg.NameKey, cfg.ConsoleSeparator = zapcore.OmitKey, " "
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05")
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	cfg.EncodeLevel = func(l zapcore.Level, to zapcore.PrimitiveArrayEncoder) {
		to.AppendString(paint(colour, levelColour(l), fmt.Sprintf("%-7s", l.CapitalString())))
	}
	leveled := zapcore.NewConsoleEncoder(cfg)
	cfg.LevelKey = zapcore.OmitKey
	return consoleEncoder{leveled, zapcore.NewConsoleEncoder(cfg), colour}
}

// Clone is zapcore.Encoder. Fields of a logger are those of its lines with a level.
func (c consoleEncoder) Clone() zapcore.Encoder {
	return consoleEncoder{c.Encoder.Clone(), c.bare, c.colour}
}

// EncodeEntry is zapcore.Encoder.
func (c consoleEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	switch {
	case entry.Message == requestMessage:
		entry.Message = requestColumns(fieldsOf(fields), c.colour)
		return c.bare.EncodeEntry(entry, nil)
	case entry.Message == readyMessage:
		f := fieldsOf(fields)
		entry.Message, fields = fmt.Sprintf("%s at %v, try: %v", readyMessage, f["url"], f["try"]), nil
	case entry.LoggerName != "":
		entry.Message = entry.LoggerName + ": " + entry.Message
	}
	return c.Encoder.EncodeEntry(entry, fields)
}

func fieldsOf(fields []zapcore.Field) map[string]any {
	all := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(all)
	}
	return all.Fields
}

// requestColumns returns the line of a request: method, service or route, status, duration, bytes of
// body and answer, principal, id, and what went wrong.
func requestColumns(f map[string]any, colour bool) string {
	what := f["service"]
	if what == nil {
		what = f["route"]
	}
	took, _ := f["took"].(time.Duration)
	in, _ := f["in"].(int64)
	out, _ := f["out"].(int64)
	status, _ := f["status"].(int64)
	who, _ := f["principal"].(string)
	line := fmt.Sprintf("%s %s %s %7s %5s→%-5s %s %s", column(f["method"], 7), column(what, 24),
		paint(colour, statusColour(status), fmt.Sprintf("%3d", status)), rounded(took), size(in), size(out),
		column(or(who, "-"), 12), column(f["request_id"], 9))
	if problem, ok := f["error"]; ok {
		line += " " + fmt.Sprint(problem)
	}
	return strings.TrimRight(line, " ")
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// column returns a text with exactly so many characters.
func column(value any, width int) string {
	text := fmt.Sprint(value)
	if utf8.RuneCountInString(text) > width {
		text = string([]rune(text)[:width-1]) + "…"
	}
	return text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
}

// rounded writes a duration with three digits or so.
func rounded(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// size writes a number of bytes in five characters or so.
func size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprint(n)
	}
	value, unit := float64(n)/(1<<10), 0
	for ; value >= 1000 && unit < 3; unit++ {
		value /= 1 << 10
	}
	digits := 1
	if value >= 100 {
		digits = 0
	}
	return fmt.Sprintf("%.*f%c", digits, value, "KMGT"[unit])
}

// The colours of a terminal (ECMA-48, SGR).
const (
	red, green, yellow = 31, 32, 33
	plain              = 0
)

// paint returns a text in a colour, if there are to be any.
func paint(on bool, colour int, text string) string {
	if !on || colour == plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

func statusColour(status int64) int {
	switch {
	case status >= 500:
		return red
	case status >= 400:
		return yellow
	}
	return green
}

func levelColour(l zapcore.Level) int {
	switch {
	case l >= zapcore.ErrorLevel:
		return red
	case l == zapcore.WarnLevel:
		return yellow
	}
	return plain
}

// isColourful reports whether what is written to w is shown on a terminal with colours (https://no-color.org).
func isColourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) // #nosec G115
}
