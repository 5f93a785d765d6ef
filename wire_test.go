package signet_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/signet-ca/signet"
)

func TestTimeDuration(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := []struct {
		json string
		good bool
		back string
		at   time.Time
	}{
		{`""`, true, `""`, time.Time{}},
		{`null`, true, `""`, time.Time{}},
		{`"0s"`, true, `""`, time.Time{}},
		{`"8h"`, true, `"8h0m0s"`, now.Add(8 * time.Hour)},
		{`"-1m30s"`, true, `"-1m30s"`, now.Add(-90 * time.Second)},
		{`"2030-01-02T03:04:05+01:00"`, true, `"2030-01-02T02:04:05Z"`, time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC)},
		{`"1d"`, false, "", time.Time{}},
		{`5`, false, "", time.Time{}},
		{`"tomorrow"`, false, "", time.Time{}},
	}
	for _, x := range cases {
		var got signet.TimeDuration
		err := json.Unmarshal([]byte(x.json), &got)
		if (err == nil) != x.good {
			t.Errorf("%s: %v", x.json, err)
			continue
		}
		if !x.good {
			continue
		}
		back, err := json.Marshal(got)
		if err != nil || string(back) != x.back || !got.At(now).Equal(x.at) || got.IsZero() != x.at.IsZero() {
			t.Errorf("%s: %s, %v, %v", x.json, back, got.At(now), err)
		}
	}
}

func TestAbsentRequest(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{`null`: true, `""`: true, `"null"`: true, `7`: false, `"x"`: false, `{}`: false} {
		var r signet.CertificateRequest
		if err := json.Unmarshal([]byte(text), &r); (err == nil) != good || r.CertificateRequest != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzWire(f *testing.F) {
	f.Add([]byte(`{"csr":"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n","ott":"x","notAfter":"5m"}`))
	f.Add([]byte(`{"csr":null,"notBefore":"2030-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"crt":"-----BEGIN X-----\nMAA=\n-----END X-----\n","certChain":[null,""]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var request signet.SignRequest
		if json.Unmarshal(data, &request) == nil {
			if _, err := json.Marshal(request); err != nil {
				t.Error(err)
			}
		}
		var response signet.SignResponse
		if json.Unmarshal(data, &response) == nil {
			response.Certificates()
		}
	})
}
