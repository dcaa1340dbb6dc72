package main

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// A consoleEncoder writes lines for people: columns that do not shift, and of a request what fits
// into one.
type consoleEncoder struct{ zapcore.Encoder }

func newConsoleEncoder(cfg zapcore.EncoderConfig) zapcore.Encoder {
	cfg.NameKey, cfg.ConsoleSeparator = zapcore.OmitKey, " "
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	cfg.EncodeLevel = func(l zapcore.Level, to zapcore.PrimitiveArrayEncoder) {
		to.AppendString(fmt.Sprintf("%-5s", l.CapitalString()))
	}
	return consoleEncoder{zapcore.NewConsoleEncoder(cfg)}
}

// Clone is zapcore.Encoder.
func (c consoleEncoder) Clone() zapcore.Encoder { return consoleEncoder{c.Encoder.Clone()} }

// EncodeEntry is zapcore.Encoder.
func (c consoleEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	switch {
	case entry.Message == "request":
		all := zapcore.NewMapObjectEncoder()
		for _, f := range fields {
			f.AddTo(all)
		}
		entry.Message, fields = requestColumns(all.Fields), nil
	case entry.LoggerName != "":
		entry.Message = entry.LoggerName + ": " + entry.Message
	}
	return c.Encoder.EncodeEntry(entry, fields)
}

// requestColumns returns the line of a request: method, service or route, status, duration, bytes of
// body and answer, id, and what went wrong.
func requestColumns(f map[string]any) string {
	what := f["service"]
	if what == nil {
		what = f["route"]
	}
	took, _ := f["took"].(time.Duration)
	in, _ := f["in"].(int64)
	out, _ := f["out"].(int64)
	line := fmt.Sprintf("%-7v %-24v %v %8s %7s→%-7s %.8v", f["method"], what, f["status"], rounded(took), size(in), size(out), f["request_id"])
	if problem, ok := f["error"]; ok {
		line = fmt.Sprintf("%-68s %v", line, problem)
	}
	return strings.TrimRight(line, " ")
}

// rounded writes a duration with three digits or so.
func rounded(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// size writes a number of bytes in four characters or so.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1fM", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1fK", float64(n)/(1<<10))
	}
	return fmt.Sprint(n)
}
