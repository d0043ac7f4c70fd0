package main

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

// loaded is a model in memory.
type loaded struct {
	model   model
	context int
	expires time.Time
	timer   *time.Timer
	runner  *runner
}

var (
	memory      = map[string]*loaded{}
	memoryGuard sync.Mutex
)

const forever = time.Duration(math.MaxInt64)

// keepAlive reads the request's keep_alive, then OLLAMA_KEEP_ALIVE, then says five minutes.
func keepAlive(raw json.RawMessage) time.Duration {
	text := string(raw)
	if text == "" || text == "null" {
		text = os.Getenv("OLLAMA_KEEP_ALIVE")
	} else if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	duration := 5 * time.Minute
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		duration = time.Duration(seconds * float64(time.Second))
	} else if parsed, err := time.ParseDuration(text); err == nil {
		duration = parsed
	}
	if duration < 0 {
		return forever
	}
	return duration
}

// load takes its time outside the lock, so that /api/ps answers, without the model, during it.
func load(r *http.Request, wanted model, context int) error {
	if context == 0 {
		context, _ = strconv.Atoi(os.Getenv("OLLAMA_CONTEXT_LENGTH"))
	}
	if context == 0 {
		context = 4096
	}
	memoryGuard.Lock()
	there := memory[wanted.Name]
	memoryGuard.Unlock()
	if there != nil && there.context == context {
		return nil
	}
	if there != nil {
		unload(wanted.Name) // other options: Ollama starts another runner
	}
	fresh := &loaded{model: wanted, context: context}
	if get("STANDIN_RUNNER") != "" {
		var err error
		if fresh.runner, err = startRunner(wanted.Name); err != nil {
			return err
		}
	}
	if !pause(r, ms("STANDIN_LOAD_MS")) {
		fresh.runner.end()
		return errors.New("client connection closed before server finished loading, aborting load")
	}
	if text := get("STANDIN_LOAD_ERROR"); text != "" {
		fresh.runner.end()
		return errors.New(text)
	}
	fresh.runner.ready()
	fresh.expires = time.Now().Add(5 * time.Minute)
	memoryGuard.Lock()
	defer memoryGuard.Unlock()
	memory[wanted.Name] = fresh
	return nil
}

func touch(name string, keep time.Duration) {
	memoryGuard.Lock()
	defer memoryGuard.Unlock()
	entry := memory[name]
	if entry == nil {
		return
	}
	if entry.timer != nil {
		entry.timer.Stop()
	}
	if keep == forever {
		entry.expires = time.Now().AddDate(292, 0, 0)
		return
	}
	entry.expires = time.Now().Add(keep)
	entry.timer = time.AfterFunc(keep, func() { unload(name) })
}

func busy(name string, change int) {
	memoryGuard.Lock()
	defer memoryGuard.Unlock()
	if entry := memory[name]; entry != nil && entry.runner != nil {
		entry.runner.busy(change)
	}
}

func unload(name string) {
	memoryGuard.Lock()
	defer memoryGuard.Unlock()
	if entry := memory[name]; entry != nil {
		if entry.timer != nil {
			entry.timer.Stop()
		}
		entry.runner.end()
		delete(memory, name)
	}
}

func unloadAll() {
	for _, entry := range running() {
		unload(entry.Name)
	}
}

// process is an entry of /api/ps.
type process struct {
	Name          string    `json:"name"`
	Model         string    `json:"model"`
	Size          int64     `json:"size"`
	Digest        string    `json:"digest"`
	Details       details   `json:"details"`
	ExpiresAt     time.Time `json:"expires_at"`
	SizeVRAM      int64     `json:"size_vram"`
	ContextLength int       `json:"context_length"`
}

func running() []process {
	memoryGuard.Lock()
	defer memoryGuard.Unlock()
	all := []process{}
	for _, entry := range memory {
		one := process{
			Name: entry.model.Name, Model: entry.model.Name, Size: entry.model.Size, Digest: entry.model.Digest,
			Details: entry.model.Details, ExpiresAt: entry.expires, ContextLength: entry.context,
		}
		switch get("STANDIN_VRAM") {
		case "gpu":
			one.SizeVRAM = one.Size
		case "partial":
			one.SizeVRAM = one.Size / 2
		}
		all = append(all, one)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].Name < all[b].Name })
	return all
}
