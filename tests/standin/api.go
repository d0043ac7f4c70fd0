package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func routes(bound net.Addr) http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /standin/env", environment)
	own.HandleFunc("/standin/try", try)
	own.HandleFunc("POST /standin/set", set)

	api := http.NewServeMux()
	api.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Ollama is running") })
	api.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"version": version()})
	})
	api.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"models": list()})
	})
	api.HandleFunc("GET /api/ps", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"models": running()})
	})
	api.HandleFunc("POST /api/show", show)
	api.HandleFunc("POST /api/generate", use)
	api.HandleFunc("POST /api/chat", use)
	api.HandleFunc("POST /api/embed", use)
	api.HandleFunc("POST /api/pull", pull)
	api.HandleFunc("POST /api/copy", copyModel)
	api.HandleFunc("DELETE /api/delete", deleteModel)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/standin/") {
			own.ServeHTTP(w, r)
			return
		}
		if misbehave(w, r) {
			return
		}
		if !allowed(bound, r.Host) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		api.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	text, _ := json.Marshal(body)
	_, _ = w.Write(text)
}

func problem(text string) map[string]string { return map[string]string{"error": text} }

func replyError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, errNotFound) {
		status = http.StatusNotFound
	} else if errors.Is(err, errInvalid) {
		status = http.StatusBadRequest
	}
	reply(w, status, problem(err.Error()))
}

func environment(w http.ResponseWriter, _ *http.Request) {
	all := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		all[base64.StdEncoding.EncodeToString([]byte(name))] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	reply(w, http.StatusOK, all)
}

// request is what generate, chat and embed, show, pull, copy and delete send, as far as it matters here.
type request struct {
	Model       string            `json:"model"`
	Name        string            `json:"name"`
	Prompt      string            `json:"prompt"`
	Messages    []json.RawMessage `json:"messages"`
	Input       json.RawMessage   `json:"input"`
	Stream      *bool             `json:"stream"`
	KeepAlive   json.RawMessage   `json:"keep_alive"`
	Source      string            `json:"source"`
	Destination string            `json:"destination"`
	Options     struct {
		NumCtx     int `json:"num_ctx"`
		NumPredict int `json:"num_predict"`
	} `json:"options"`
}

func (r request) name() string {
	if r.Model != "" {
		return r.Model
	}
	return r.Name
}

// use is generate, chat and embed: load the model where needed, and with nothing to do say "load" or "unload".
func use(w http.ResponseWriter, r *http.Request) {
	asked := decode[request](r.Body)
	if get("STANDIN_HANG_RUNNER") != "" {
		<-r.Context().Done()
		return
	}
	found, err := find(asked.name())
	if err != nil {
		replyError(w, err)
		return
	}
	if verb := r.URL.Path[len("/api/"):]; found.Details.embeds() && verb != "embed" {
		reply(w, http.StatusBadRequest, problem(fmt.Sprintf("%q does not support %s", asked.name(), verb)))
		return
	}
	empty := asked.Prompt == "" && len(asked.Messages) == 0 && len(asked.Input) == 0
	keep := keepAlive(asked.KeepAlive)
	answer := map[string]any{"model": asked.name(), "created_at": time.Now(), "response": "", "done": true}
	if empty && keep == 0 {
		unload(found.Name)
		answer["done_reason"] = "unload"
		reply(w, http.StatusOK, answer)
		return
	}
	if err := load(r, found, asked.Options.NumCtx); err != nil {
		reply(w, http.StatusInternalServerError, problem(err.Error()))
		return
	}
	defer touch(found.Name, keep) // the clock starts when the request ends
	if empty {
		answer["done_reason"] = "load"
		reply(w, http.StatusOK, answer)
		return
	}
	busy(found.Name, 1)
	defer busy(found.Name, -1)
	if !pause(r, ms("STANDIN_GENERATE_MS")) {
		return
	}
	switch r.URL.Path {
	case "/api/embed":
		reply(w, http.StatusOK, map[string]any{"model": asked.name(), "embeddings": [][]float64{{0.6, 0.8}}})
		return
	case "/api/chat":
		delete(answer, "response")
		answer["message"] = map[string]string{"role": "assistant", "content": "stand-in"}
	default:
		answer["response"] = "stand-in"
	}
	answer["done_reason"], answer["eval_count"] = "stop", 1
	if asked.Stream == nil || *asked.Stream {
		w.Header().Set("Content-Type", "application/x-ndjson")
		first := map[string]any{}
		for key, value := range answer {
			first[key] = value
		}
		first["done"] = false
		delete(first, "done_reason")
		_ = json.NewEncoder(w).Encode(first)
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	reply(w, http.StatusOK, answer)
}

func show(w http.ResponseWriter, r *http.Request) {
	found, err := find(decode[request](r.Body).name())
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"details": found.Details, "modified_at": found.ModifiedAt, "capabilities": found.Details.capabilities(),
		"model_info": map[string]any{"general.architecture": found.Details.Family},
	})
}

// pull writes a model into the store, with Ollama's lines of progress; nothing comes from a network.
func pull(w http.ResponseWriter, r *http.Request) {
	asked := decode[request](r.Body)
	if invalid(asked.name()) {
		replyError(w, errInvalid)
		return
	}
	var last any
	line := func(body any) {
		last = body
		if asked.Stream == nil || *asked.Stream {
			_ = json.NewEncoder(w).Encode(body)
			w.(http.Flusher).Flush()
		}
	}
	line(map[string]string{"status": "pulling manifest"})
	digest := "sha256:" + strings.Repeat("0", 64)
	for completed := 0; completed <= 100; completed += 50 {
		line(map[string]any{"status": "pulling " + digest[7:19], "digest": digest, "total": 100, "completed": completed})
		if !pause(r, ms("STANDIN_PULL_MS")/3) {
			return
		}
	}
	if text := get("STANDIN_PULL_ERROR"); text != "" {
		line(problem(text))
	} else if err := create(asked.name(), get("STANDIN_PULL_CONTENT")); err != nil {
		line(problem(err.Error()))
	} else {
		line(map[string]string{"status": "success"})
	}
	if asked.Stream != nil && !*asked.Stream {
		reply(w, http.StatusOK, last)
	}
}

func copyModel(w http.ResponseWriter, r *http.Request) {
	asked := decode[request](r.Body)
	text, err := os.ReadFile(manifestPath(parts(asked.Source)))
	if err == nil {
		path := manifestPath(parts(asked.Destination))
		if err = os.MkdirAll(path[:strings.LastIndex(path, "/")], 0o755); err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
	}
	if err != nil {
		replyError(w, err)
	}
}

func deleteModel(w http.ResponseWriter, r *http.Request) {
	asked := decode[request](r.Body)
	found, err := find(asked.name())
	if err == nil {
		err = os.Remove(manifestPath(parts(found.Name)))
	}
	if err != nil {
		replyError(w, err)
	}
}
