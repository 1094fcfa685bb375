package app

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// opsPort is the handler of the operations port: health, metrics, build information, and the operators' services.
// It is for operators' networks; the edge behind it checks operators' credentials all the same.
type opsPort struct {
	// ready returns nil when every part of the process can answer, or what is still missing.
	ready func() error
	// metrics is what /metrics shows.
	metrics *prometheus.Registry
	// operators answers the operators' RPCs.
	operators http.Handler
}

func (o opsPort) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok", "") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.ready(); err != nil {
			writeStatus(w, http.StatusServiceUnavailable, "starting", err.Error())
			return
		}
		writeStatus(w, http.StatusOK, "ready", "")
	})
	mux.HandleFunc("GET /buildinfo", writeBuild)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.metrics, promhttp.HandlerOpts{Registry: o.metrics, Timeout: 10 * time.Second}))
	mux.Handle("/", o.operators)
	return mux
}

// probe is the body of /healthz and /readyz.
type probe struct {
	Status  string `json:"status"`
	Missing string `json:"missing,omitempty"`
}

func writeStatus(w http.ResponseWriter, code int, status, missing string) {
	body, err := json.Marshal(probe{Status: status, Missing: missing})
	writeJSON(w, code, body, err)
}

func writeBuild(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(Build())
	writeJSON(w, http.StatusOK, body, err)
}

func writeJSON(w http.ResponseWriter, code int, body []byte, err error) {
	if err != nil {
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // The prober has gone; there is nobody to tell.
}
