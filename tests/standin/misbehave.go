package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What POST /standin/set said; it wins over the environment.
var (
	settings = map[string]string{}
	guard    sync.Mutex
	started  time.Time
	isSet    = make(chan struct{}, 1)
)

func get(name string) string {
	guard.Lock()
	defer guard.Unlock()
	if value, ok := settings[name]; ok {
		return value
	}
	return os.Getenv(name)
}

func number(name string) int {
	n, _ := strconv.Atoi(get(name))
	return n
}

func ms(name string) time.Duration { return time.Duration(number(name)) * time.Millisecond }

func set(w http.ResponseWriter, r *http.Request) {
	var given map[string]string
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
		reply(w, http.StatusBadRequest, problem(err.Error()))
		return
	}
	guard.Lock()
	for name, value := range given {
		settings[name] = value
	}
	guard.Unlock()
	reply(w, http.StatusOK, given)
	select {
	case isSet <- struct{}{}:
	default:
	}
}

func exitOnCommand() {
	if get("STANDIN_EXIT") == "" {
		return
	}
	if times := number("STANDIN_EXIT_TIMES"); times > 0 {
		counter := filepath.Join(os.Getenv("HOME"), "standin-starts")
		text, _ := os.ReadFile(counter)
		starts, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if starts >= times {
			return
		}
		_ = os.MkdirAll(filepath.Dir(counter), 0o755)
		if err := os.WriteFile(counter, []byte(strconv.Itoa(starts+1)), 0o644); err != nil {
			fail(number("STANDIN_EXIT"), "Error: "+err.Error())
		}
	}
	fail(number("STANDIN_EXIT"), "Error: told to exit")
}

func crashOnCommand() {
	for get("STANDIN_CRASH_MS") == "" {
		<-isSet
	}
	time.Sleep(ms("STANDIN_CRASH_MS"))
	status := 1
	if get("STANDIN_CRASH_STATUS") != "" {
		status = number("STANDIN_CRASH_STATUS")
	}
	if status < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.Signal(-status))
		time.Sleep(time.Second)
	}
	fail(status, "Error: told to crash")
}

// misbehave answers, or not, in place of the real handler; true means that the request is over.
func misbehave(w http.ResponseWriter, r *http.Request) bool {
	late := get("STANDIN_HANG_MS") == "" || time.Since(started) >= ms("STANDIN_HANG_MS")
	if get("STANDIN_HANG") != "" && late {
		<-r.Context().Done()
		return true
	}
	if text := get("STANDIN_ENDLESS"); text != "" {
		endless(w, text)
		return true
	}
	if !pause(r, ms("STANDIN_DELAY_MS")) {
		return true
	}
	if status := number("STANDIN_STATUS"); status != 0 {
		w.WriteHeader(status)
		return true
	}
	return false
}

// endless is no HTTP of Go's: whatever the text is, it goes out as it stands until the client is gone.
func endless(w http.ResponseWriter, text string) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	for {
		if _, err := connection.Write([]byte(text)); err != nil {
			return
		}
		time.Sleep(ms("STANDIN_DELAY_MS"))
	}
}

// pause waits, and says false when the client has gone away meanwhile.
func pause(r *http.Request, duration time.Duration) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(duration):
		return true
	}
}
