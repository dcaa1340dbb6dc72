package demo

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
)

// A demodulation is how fm reads its samples. The defaults are those of melody.
type demodulation struct {
	Format    string  `json:"format"`    // cu8, or cf32: pairs of little-endian floats, as GNU Radio writes them
	SampRate  float64 `json:"samp_rate"` // samples a second
	Decim     int     `json:"decim"`     // the sound has samp_rate/decim samples a second
	Deviation float64 `json:"deviation"` // Hz at full loudness
}

// maxSamples bounds the memory of one request: 8 bytes a sample, and what it is read from.
const maxSamples = 1 << 22

// fm replies a WAV file.
func fm(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	d := demodulation{"cu8", melodyRate, 3, melodyDeviation}
	data := []byte(first(body))
	if len(data) == 0 {
		data = transmission()
	}
	err := readVars(body, &d)
	if err == nil {
		err = d.check(len(data))
	}
	if err != nil {
		return fail(ctx, text("%v", err), nil)
	}
	return [][]byte{wav(d.sound(data), int(math.Round(d.SampRate/float64(d.Decim))))}, nil
}

// size returns the bytes of a sample, 0 of a format that there is not.
func (d *demodulation) size() int { return map[string]int{"cu8": 2, "cf32": 8}[d.Format] }

// check says what is wrong with the vars, or with a body of that many bytes.
func (d *demodulation) check(length int) error {
	switch size := d.size(); {
	case size == 0:
		return fmt.Errorf("format is %q, want cu8 or cf32", clip(d.Format))
	case !(d.SampRate >= 1_000 && d.SampRate <= 50_000_000):
		return fmt.Errorf("samp_rate is %g, want 1000 to 50000000", d.SampRate)
	case d.Decim < 1 || d.Decim > 100:
		return fmt.Errorf("decim is %d, want 1 to 100", d.Decim)
	case !(d.Deviation > 0 && d.Deviation <= d.SampRate/2):
		return fmt.Errorf("deviation is %g, want more than 0 and at most half of samp_rate", d.Deviation)
	case length%size != 0 || length/size > maxSamples:
		return fmt.Errorf("the body has %d bytes, want whole samples of %d and at most %d of them", length, size, maxSamples)
	}
	return nil
}

// sound demodulates: the change of the phase from sample to sample is the frequency, which
// is the loudness. A tone of full deviation gets the amplitude 1.
func (d *demodulation) sound(data []byte) []float64 {
	n := len(data) / d.size()
	frequency := make([]float64, n)
	last := complex(1, 0)
	for i := range frequency {
		x := d.sample(data, i)
		turn := x * complex(real(last), -imag(last))
		frequency[i] = math.Atan2(imag(turn), real(turn)) * d.SampRate / (2 * math.Pi * d.Deviation)
		last = x
	}
	taps := lowPass(d.Decim)
	audio := make([]float64, 0, n/d.Decim+1)
	for at := 0; at < n; at += d.Decim {
		sum := 0.0
		for k, tap := range taps {
			if i := at + k - len(taps)/2; i >= 0 && i < n {
				sum += tap * frequency[i]
			}
		}
		audio = append(audio, sum)
	}
	return audio
}

// sample returns the sample of that number.
func (d *demodulation) sample(data []byte, i int) complex128 {
	if d.Format == "cu8" {
		return complex(float64(data[2*i])-127.5, float64(data[2*i+1])-127.5)
	}
	float := func(at int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))) }
	return complex(float(8*i), float(8*i+4))
}

// lowPass returns the taps of a filter before a decimation: a sinc that passes 0.8 of the
// new bandwidth, in a Hamming window, with a gain of 1.
func lowPass(decim int) []float64 {
	taps := make([]float64, 8*decim+1)
	cutoff, middle, sum := 0.4/float64(decim), float64(4*decim), 0.0
	for i := range taps {
		x := float64(i) - middle
		taps[i] = 2 * cutoff
		if x != 0 {
			taps[i] = math.Sin(2*math.Pi*cutoff*x) / (math.Pi * x)
		}
		taps[i] *= 0.54 + 0.46*math.Cos(math.Pi*x/middle)
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

// wav returns a file of one channel of 16 bits (RIFF WAVE, PCM). What is not between -1 and
// 1 is cut off.
func wav(sound []float64, rate int) []byte {
	file := append(make([]byte, 0, 44+2*len(sound)), "RIFF"...)
	word := func(n int) { file = binary.LittleEndian.AppendUint32(file, uint32(n)) } // #nosec G115 -- of at most maxSamples
	half := func(n int) { file = binary.LittleEndian.AppendUint16(file, uint16(n)) } // #nosec G115 -- of 16 bits
	word(36 + 2*len(sound))
	file = append(file, "WAVEfmt "...)
	word(16)
	half(1) // PCM
	half(1) // channel
	word(rate)
	word(2 * rate)
	half(2)
	half(16)
	file = append(file, "data"...)
	word(2 * len(sound))
	for _, x := range sound {
		half(int(math.Round(32_767 * math.Max(-1, math.Min(1, x)))))
	}
	return file
}
