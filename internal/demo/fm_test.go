package demo_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"mdpgateway/internal/demo"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// heard is what a WAV file of one channel holds.
type heard struct {
	rate  int
	sound []float64
}

func listen(t *testing.T, file string) heard {
	t.Helper()
	if len(file) < 44 || file[:4]+file[8:16]+file[36:40] != "RIFFWAVEfmt data" {
		t.Fatalf("this is no WAV file: %.60q", file)
	}
	word := func(at int) int { return int(binary.LittleEndian.Uint32([]byte(file[at:]))) }
	if word(4) != len(file)-8 || word(40) != len(file)-44 || word(28) != 2*word(24) {
		t.Fatalf("the header %x is not of %d bytes", file[:44], len(file))
	}
	h := heard{rate: word(24)}
	for i := 44; i+1 < len(file); i += 2 {
		h.sound = append(h.sound, float64(int16(binary.LittleEndian.Uint16([]byte(file[i:]))))/32767)
	}
	return h
}

// tone returns the amplitude of a frequency in a part of the sound, from and to in seconds
// (Goertzel).
func (h heard) tone(hz, from, to float64) float64 {
	var re, im float64
	part := h.sound[int(from*float64(h.rate)):int(to*float64(h.rate))]
	for i, x := range part {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / float64(h.rate))
		re, im = re+x*cos, im+x*sin
	}
	return 2 * math.Hypot(re, im) / float64(len(part))
}

// The notes are heard in their order, through a broker and with the samples that melody
// sends as with the empty body that stands for them.
func TestTheMelodyIsHeard(t *testing.T) {
	endpoint := start(t, mdp.V02)
	d := mdptest.NewDealer(t, endpoint)
	samples := call(t, d, mdp.V02, "melody", "")[0]
	if len(samples) != 2*4*24_000 {
		t.Fatalf("the melody has %d bytes, want 4 s of 24,000 samples", len(samples))
	}
	file := call(t, d, mdp.V02, "fm", "")[0]
	if got := call(t, d, mdp.V02, "fm", samples, "{}")[0]; got != file {
		t.Error("the melody's samples sound different from an empty body")
	}
	h := listen(t, file)
	if h.rate != 8_000 || len(h.sound) != 32_000 {
		t.Fatalf("got %d values at %d Hz, want 4 s at 8000 Hz", len(h.sound), h.rate)
	}
	pitches := demo.MelodyPitches()
	for i, want := range pitches {
		from := float64(i) * 0.25
		loudest, most := 0.0, 0.0
		for _, hz := range pitches {
			if a := h.tone(hz, from+0.02, from+0.23); a > most {
				loudest, most = hz, a
			}
		}
		if loudest != want || most < 0.15 {
			t.Errorf("note %d is %.1f Hz with amplitude %.2f, want %.1f Hz", i, loudest, most, want)
		}
	}
}

// A tone of full deviation is heard with the amplitude 1, whatever the rates, and what is
// above the new bandwidth is not.
func TestATone(t *testing.T) {
	for _, tt := range []struct {
		rate, decim   int
		hz, deviation float64
		want          float64
	}{
		{250_000, 5, 1_000, 75_000, 1},
		{48_000, 1, 3_000, 5_000, 1},
		{48_000, 6, 1_000, 10_000, 1},
		{48_000, 6, 6_000, 10_000, 0},
	} {
		var samples []byte
		for i := range tt.rate / 5 {
			phase := tt.deviation / tt.hz * math.Sin(2*math.Pi*tt.hz*float64(i)/float64(tt.rate))
			for _, x := range []float64{math.Cos(phase), math.Sin(phase)} {
				samples = binary.LittleEndian.AppendUint32(samples, math.Float32bits(float32(x)))
			}
		}
		vars := fmt.Sprintf("{'format': 'cf32', 'samp_rate': %d, 'decim': %d, 'deviation': %g}", tt.rate, tt.decim, tt.deviation)
		reply, err := demo.FM(t.Context(), [][]byte{samples, []byte(vars)}, nil)
		if err != nil || len(reply) != 1 {
			t.Fatalf("%s: %q, %v", vars, reply, err)
		}
		h := listen(t, string(reply[0]))
		hz := math.Min(tt.hz, math.Abs(float64(h.rate)-tt.hz)) // where it would be folded to
		if got := h.tone(hz, 0.05, 0.15); h.rate != tt.rate/tt.decim || math.Abs(got-tt.want) > 0.02 {
			t.Errorf("%s: a tone of %g Hz has the amplitude %.3f at %d Hz, want %g", vars, tt.hz, got, h.rate, tt.want)
		}
	}
}
