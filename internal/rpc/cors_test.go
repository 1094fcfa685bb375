package rpc_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/domicile-api/domicile/internal/rpc"
)

// TestCORS asks as a page of another origin does: what it may read of an answer does not depend on whether it asks for the body.
func TestCORS(t *testing.T) {
	t.Parallel()
	handler := rpc.CORS(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		r := httptest.NewRequestWithContext(t.Context(), method, "/openapi.yaml", http.NoBody)
		r.Header.Set("Origin", "https://app.example.com")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", method, got)
		}
	}
}
