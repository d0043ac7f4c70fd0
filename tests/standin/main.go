// The stand-in: a server that looks like `ollama serve` from outside and misbehaves on command.
//
// It is never shipped. Tests use it for what a real Ollama does not do when asked, and for a hundred at once: it
// starts in a few milliseconds. Without any STANDIN_ variable it behaves as Ollama 0.34 does: it reads OLLAMA_HOST,
// OLLAMA_MODELS, OLLAMA_KEEP_ALIVE and OLLAMA_CONTEXT_LENGTH, needs HOME (and writes a key there), binds before it
// answers, lists the manifests of its store, loads and unloads, answers 403 to strange Host headers, ends on SIGTERM.
//
//	--version    prints what Ollama prints. The version is STANDIN_VERSION, or the text of the file beside this
//	             program that has its name and ".version" (an "upgraded binary"), or 0.34.0; read at start.
//
// The environment, or later POST /standin/set with the same names as a JSON object (marked *), says how to misbehave:
//
//	STANDIN_EXIT=N              exit with status N at once, before anything is bound: a crash loop under Restart=
//	STANDIN_EXIT_TIMES=N        with STANDIN_EXIT: only the first N starts, counted in $HOME/standin-starts
//	STANDIN_START_MS=N          wait N ms before the port is bound
//	STANDIN_CRASH_MS=N        * N ms after the start (after the set), exit with status STANDIN_CRASH_STATUS
//	STANDIN_CRASH_STATUS=N    * default 1; a negative N is a signal that it sends itself (-9; Go turns others into 2)
//	STANDIN_LISTEN=IP:PORT      bind this instead of OLLAMA_HOST
//	STANDIN_ANSWER_MS=N         the port is bound, HTTP is answered only N ms later (Ollama looking for GPUs)
//	STANDIN_HANG=1            * accept and never answer HTTP (but /standin/); STANDIN_HANG_MS=N: only after N ms
//	STANDIN_HANG_RUNNER=1     * only generate, chat and embed never answer (a hung runner)
//	STANDIN_DELAY_MS=N        * every answer comes N ms late
//	STANDIN_ENDLESS=TEXT      * in place of an answer this text again and again, every STANDIN_DELAY_MS ms
//	STANDIN_STATUS=N          * every answer is an empty one with HTTP status N
//	STANDIN_VERSION=V         * /api/version says V
//	STANDIN_MODELS=A=DIGEST,B * list these instead of the store's; without a digest a made-up one
//	STANDIN_VRAM=gpu|partial  * where models are loaded, in /api/ps: size_vram == size, or half; default 0 (CPU)
//	STANDIN_LOAD_MS=N         * a load takes N ms; /api/ps is empty during it, and a closed connection aborts it
//	STANDIN_LOAD_ERROR=TEXT   * a load fails with HTTP status 500 and this text
//	STANDIN_GENERATE_MS=N     * generate, chat and embed take N ms once the model is loaded
//	STANDIN_RUNNER=1            each loaded model has a child process `llama-server ... --port N` which answers
//	                            /health, /slots and /completion there, as a real runner does, and 503 while it loads;
//	                            POST /standin/set there with STANDIN_HANG_RUNNER: /completion never answers, and with
//	                            STANDIN_RUNNER_SPINS too it computes all the while
//	STANDIN_PULL_MS=N         * a pull takes N ms; STANDIN_PULL_ERROR=TEXT * fails half-way with this text;
//	STANDIN_PULL_CONTENT=TEXT * what the model pulled is made of: another text is another digest (a newer model)
//	STANDIN_IGNORE_TERM=1       ignore SIGTERM
//
// For tests of what a unit allows, from inside it:
//
//	GET  /standin/env           its environment, base64 of name -> base64 of value, byte for byte
//	GET  /standin/try?op=...    tries something and answers {"ok": bool, "errno": "EPERM", "data": ...}; see try.go
//	POST /standin/set           {"STANDIN_HANG": "1", ...}; an empty string takes it back
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const builtinVersion = "0.34.0"

func main() {
	if filepath.Base(os.Args[0]) == runnerName {
		runRunner(os.Args[1:])
		return
	}
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "--version", "-v":
		printVersion()
	case "serve", "start":
		serve()
	default:
		fmt.Fprintln(os.Stderr, "Usage: ollama [serve | --version]  (this is a stand-in)")
		os.Exit(1)
	}
}

func version() string {
	if v := get("STANDIN_VERSION"); v != "" {
		return v
	}
	return fileVersion
}

var fileVersion = sync.OnceValue(func() string {
	if self, err := os.Executable(); err == nil {
		if text, err := os.ReadFile(self + ".version"); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return builtinVersion
})()

// printVersion is cmd/cmd.go's versionHandler, word for word and on standard output.
func printVersion() {
	client := http.Client{Timeout: 5 * time.Second}
	running := ""
	if response, err := client.Get("http://" + address("OLLAMA_HOST") + "/api/version"); err != nil {
		fmt.Println("Warning: could not connect to a running Ollama instance")
	} else {
		defer response.Body.Close()
		running = decode[struct{ Version string }](response.Body).Version
	}
	if running != "" {
		fmt.Printf("ollama version is %s\n", running)
	}
	if running != version() {
		fmt.Printf("Warning: client version is %s\n", version())
	}
}

// address reads a variable as envconfig.Host does, for the forms that ollamactl may write.
func address(variable string) string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimSpace(os.Getenv(variable)), "http://"))
	if err != nil {
		host, port = "127.0.0.1", "11434"
		if given := strings.TrimSpace(os.Getenv(variable)); given != "" {
			host = given
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		port = "11434"
	}
	return net.JoinHostPort(host, port)
}

func fail(status int, text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(status)
}

func serve() {
	exitOnCommand()
	time.Sleep(ms("STANDIN_START_MS"))
	if os.Getenv("OLLAMA_MODELS") == "" && os.Getenv("HOME") == "" {
		fail(2, "panic: $HOME is not defined")
	}
	if err := writeKey(); err != nil {
		fail(1, "Error: "+err.Error())
	}
	variable := "OLLAMA_HOST"
	if os.Getenv("STANDIN_LISTEN") != "" {
		variable = "STANDIN_LISTEN"
	}
	listener, err := net.Listen("tcp", address(variable))
	if err != nil {
		fail(1, "Error: "+err.Error())
	}
	if err := os.MkdirAll(filepath.Join(modelsDir(), "blobs"), 0o755); err != nil {
		fail(1, "Error: "+err.Error())
	}
	fmt.Fprintf(os.Stderr, "Listening on %s (version %s)\n", listener.Addr(), version())
	if get("STANDIN_IGNORE_TERM") != "" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		go endOnSignal()
	}
	go crashOnCommand()
	time.Sleep(ms("STANDIN_ANSWER_MS")) // the kernel queues connections meanwhile
	started = time.Now()
	if err := http.Serve(listener, routes(listener.Addr())); err != nil {
		fail(1, "Error: "+err.Error())
	}
}

// endOnSignal ends as Ollama does: requests in flight are cut, the status is 0.
func endOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	unloadAll()
	os.Exit(0)
}

// writeKey makes the key pair that every Ollama has; it proves that HOME is writable, and whose it is.
func writeKey() error {
	if os.Getenv("HOME") == "" {
		return nil
	}
	directory := filepath.Join(os.Getenv("HOME"), ".ollama")
	key := filepath.Join(directory, "id_ed25519")
	if _, err := os.Stat(key); err == nil {
		return nil
	}
	fmt.Fprintf(os.Stderr, "Couldn't find '%s'. Generating new private key.\n", key)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("could not create directory %w", err)
	}
	return os.WriteFile(key, []byte(fmt.Sprintf("stand-in key %d\n", time.Now().UnixNano())), 0o600)
}

// allowed is server/routes.go's allowedHostsMiddleware: on a loopback address, who is asked for matters.
func allowed(bound net.Addr, host string) bool {
	if on, err := netip.ParseAddrPort(bound.String()); err == nil && !on.Addr().IsLoopback() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified()
	}
	host = strings.ToLower(host)
	self, _ := os.Hostname()
	return host == "" || host == "localhost" || host == strings.ToLower(self) ||
		strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal")
}
