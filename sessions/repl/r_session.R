# One R interpreter of a driver: reads requests from one descriptor, runs them, and answers on another.
#
# Decides how R code is evaluated, shown and told as a failure. What is printed goes to the process's own stdout and
# stderr, which this file never looks at. Nothing of it is in the user's way: its functions see base R only, and only
# `q`, `quit` and `browser` are put on the search path.
#
# A message is a count, then as many fields, each a length and its bytes; integers have four bytes, big end first.
# Requests: "run" code group description; "load" library... for SparkR; "connect" port secret session.
# Answers: "ok" and perhaps a PNG image, or "error" with its text and the calls that led there.

local(envir = new.env(parent = baseenv()), {
  arguments <- commandArgs(trailingOnly = TRUE)
  requests <- file.path("/dev/fd", arguments[[1]])
  answers <- file.path("/dev/fd", arguments[[2]])
  process <- Sys.getpid()
  in_call <- file.path(Sys.getenv("TMPDIR"), "in-call") # is there while an answer of the JVM is awaited
  floor <- 0L # frames above this one are the user's
  failed_in <- list()
  warned <- list()
  plots <- tempfile("plots")
  devices <- 0L
  widest <- 200L # characters of a call in a message
  deepest <- 100L # calls of a traceback
  most_warnings <- 50L # that R itself would keep

  # Connections are opened for each message: closeAllConnections() is user code's right.
  receive <- function() {
    connection <- file(requests, "rb", raw = TRUE)
    on.exit(close(connection))
    count <- readBin(connection, "integer", endian = "big")
    if (length(count) == 0) {
      quit("no", runLast = FALSE) # the driver has gone
    }
    lapply(seq_len(count), function(number) {
      size <- readBin(connection, "integer", endian = "big")
      text <- rawToChar(readBin(connection, "raw", size))
      Encoding(text) <- "UTF-8"
      text
    })
  }

  answer <- function(fields) {
    force(fields) # before the connection is open
    connection <- file(answers, "wb", raw = TRUE)
    on.exit(close(connection))
    writeBin(length(fields), connection, endian = "big")
    for (field in fields) {
      bytes <- if (is.raw(field)) field else charToRaw(enc2utf8(field))
      writeBin(length(bytes), connection, endian = "big")
      writeBin(bytes, connection)
    }
  }

  # Whether an interrupt is pending; it is not any more then.
  is_interrupted <- function() {
    tryCatch(
      {
        allowInterrupts(Sys.sleep(0))
        FALSE
      },
      interrupt = function(condition) TRUE
    )
  }

  # ---------------------------------------------------------------- evaluation

  evaluate <- function(code) {
    expressions <- parse(text = code, keep.source = TRUE, encoding = "UTF-8")
    result <- list(visible = FALSE)
    floor <<- withVisible(eval(quote(base::sys.nframe()), globalenv()))$value
    for (expression in expressions) {
      result <- withVisible(eval(expression, globalenv()))
    }
    if (result$visible) {
      display(result$value)
    }
  }

  # As R's own prompt does: by the name x, in a place that sees the user's methods.
  display <- function(value) {
    place <- new.env(parent = globalenv())
    place$x <- value
    eval(if (isS4(value)) quote(methods::show(x)) else quote(base::print(x)), place)
  }

  run <- function(code, group, description) {
    floor <<- 0L
    failed_in <<- warned <<- list()
    enter(group, description)
    outcome <- withRestarts(
      tryCatch(
        withCallingHandlers(
          {
            allowInterrupts(evaluate(code))
            "ok"
          },
          error = function(condition) failed_in <<- sys.calls()[seq_len(sys.nframe() - 1L)],
          warning = keep_warning
        ),
        error = failure,
        interrupt = function(condition) c("error", "interrupted")
      ),
      abort = function() c("error", "stopped by a jump to R's top level")
    )
    if (Sys.getpid() != process) {
      tools::pskill(Sys.getpid(), tools::SIGKILL) # a fork, of parallel say, that was interrupted: its parent answers
    }
    show_warnings()
    image <- last_page()
    if (identical(outcome, "ok") && !is.null(image)) list("ok", image) else outcome
  }

  failure <- function(condition) {
    call <- user_call(condition)
    where <- if (!is.null(call)) paste(" in", as_line(call))
    c("error", paste0("Error", where, ": ", conditionMessage(condition)), traceback_lines())
  }

  # The call a condition came from; NULL when it is one of this file's own.
  user_call <- function(condition) {
    call <- conditionCall(condition)
    if (floor > 0L && !identical(call, quote(eval(expression, globalenv())))) call
  }

  traceback_lines <- function() {
    if (floor == 0L || length(failed_in) <= floor) { # it is short when R had no room for a handler
      return(character())
    }
    lines <- vapply(failed_in[-seq_len(floor)], as_line, "")
    lines <- lines[!grepl("^(\\.handleSimpleError|h)\\(", lines)]
    if (length(lines) > deepest) {
      lines <- c(head_of(lines), "...", rev(head_of(rev(lines))))
    }
    lines
  }

  head_of <- function(lines) lines[seq_len(deepest %/% 2L)]

  as_line <- function(call) {
    lines <- trimws(deparse(call, nlines = 2L))
    line <- substr(lines[[1]], 1L, widest)
    if (length(lines) > 1 || nchar(lines[[1]]) > widest) paste(line, "...") else line
  }

  # R prints warnings when it is back at its prompt, where this process never is.
  keep_warning <- function(condition) {
    restart <- findRestart("muffleWarning", condition)
    if (getOption("warn") == 0 && !is.null(restart)) {
      if (length(warned) < most_warnings) {
        warned <<- c(warned, stats::setNames(list(user_call(condition)), conditionMessage(condition)))
      }
      invokeRestart(restart)
    }
  }

  show_warnings <- function() {
    if (length(warned) > 0) {
      try(print(structure(warned, class = "warnings")), silent = TRUE)
    }
  }

  # ---------------------------------------------------------------- plots

  # Opened by R itself when something is drawn and no device is open.
  open_device <- function(...) {
    devices <<- devices + 1L
    dir.create(plots, showWarnings = FALSE, recursive = TRUE)
    grDevices::png(file.path(plots, sprintf("%05d-%%05d.png", devices)))
  }

  last_page <- function() {
    for (number in grDevices::dev.list()) {
      path <- attr(.Devices[[number]], "filepath")
      if (!is.null(path) && identical(dirname(path), plots)) {
        grDevices::dev.off(number)
      }
    }
    pages <- sort(list.files(plots, full.names = TRUE))
    on.exit(unlink(pages))
    if (length(pages) > 0) readBin(pages[[length(pages)]], "raw", file.size(pages[[length(pages)]]))
  }

  # ---------------------------------------------------------------- Spark

  backend <- NULL # port and secret, once there is a SparkR

  load <- function(...) {
    .libPaths(c(..., .libPaths()))
    if (!requireNamespace("SparkR", quietly = TRUE)) {
      where <- paste("neither in", paste(c(...), collapse = ", "), "nor in R's own library")
      return(c("error", paste0("Spark's R package SparkR is ", where, ": copy it there from a full Spark distribution")))
    }
    suppressPackageStartupMessages(library("SparkR", character.only = TRUE))
    guard_calls()
    "ok"
  }

  connect <- function(port, secret, session) {
    backend <<- list(port = port, secret = secret)
    # For sparkR.session(), should the user stop Spark and start it again.
    Sys.setenv(EXISTING_SPARKR_BACKEND_PORT = port, SPARKR_BACKEND_AUTH_SECRET = secret)
    bind_session(session)
    "ok"
  }

  sparkr <- function(name) get(name, envir = asNamespace("SparkR"))

  bind_session <- function(session) {
    state <- sparkr(".sparkREnv")
    open_backend()
    state$backendPort <- backend$port
    state$.scStartTime <- as.integer(Sys.time())
    state$.sparkRsession <- sparkr("jobj")(session)
    call <- sparkr("callJStatic")
    state$.sparkRjsc <- call("org.apache.spark.sql.api.r.SQLUtils", "getJavaSparkContext", state$.sparkRsession)
    names <- list(
      spark = state$.sparkRsession,
      sc = state$.sparkRjsc,
      sqlContext = sparkr("callJMethod")(state$.sparkRsession, "sqlContext")
    )
    list2env(names, globalenv())
  }

  open_backend <- function() {
    try(close(sparkr(".sparkREnv")$.sparkRCon), silent = TRUE)
    sparkr("connectBackend")("localhost", backend$port, timeout = 6000, authSecret = backend$secret)
  }

  # A signal would cut short what SparkR reads from the JVM, and what is left unread would be taken for the answer of
  # the next call. So the file `in_call` tells others to wait: the statement's jobs are being cancelled meanwhile. A
  # signal sent just before it was there costs the connection.
  guard_calls <- function() {
    space <- asNamespace("SparkR")
    ask <- space$invokeJava
    unlockBinding("invokeJava", space)
    space$invokeJava <- function(...) {
      list(...) # which may be user code
      if (file.exists(in_call)) {
        return(ask(...)) # SparkR tidies up before a call, by calls
      }
      suspendInterrupts({
        result <- answer_of(ask, ...)
        cut_short <- is_interrupted()
        if (cut_short) {
          try(open_backend(), silent = TRUE)
        }
      })
      if (cut_short) {
        signalCondition(structure(list(), class = c("interrupt", "condition")))
      }
      if (inherits(result, "error")) stop(result) else result
    }
    lockBinding("invokeJava", space)
  }

  answer_of <- function(ask, ...) {
    file.create(in_call)
    on.exit(unlink(in_call))
    tryCatch(ask(...), error = identity)
  }

  # Jobs of this connection belong to `group` from now on. User code may have closed it, or stopped Spark.
  enter <- function(group, description) {
    if (is.null(backend)) {
      return()
    }
    state <- sparkr(".sparkREnv")
    try(silent = TRUE, {
      connected <- tryCatch(isOpen(state$.sparkRCon), error = function(condition) FALSE)
      if (!connected && !is.null(state$.sparkRjsc)) {
        open_backend()
      }
      sparkr("setJobGroup")(group, description, TRUE)
      sparkr("setLocalProperty")("spark.job.tags", paste0("spark-gateway-", group)) # as in thread_tags.py
    })
  }

  # ---------------------------------------------------------------- life

  refuse_to_quit <- function(...) stop("quit() does not end a session: delete the session instead", call. = FALSE)
  # At the end of its input R's own goes on step by step, and never stops doing so in the global environment.
  pass_browser <- function(...) warning("browser() is passed over: there is no prompt", call. = FALSE)
  replaced <- list(q = refuse_to_quit, quit = refuse_to_quit, browser = pass_browser)
  attach(replaced, name = "spark-gateway", warn.conflicts = FALSE)
  refuse_to_edit <- function(...) stop("there is no terminal to edit in", call. = FALSE)
  options(device = open_device, editor = refuse_to_edit)

  answer("ok")
  verbs <- list(run = run, load = load, connect = connect)
  suspendInterrupts(repeat {
    request <- receive()
    is_interrupted() # an interrupt that came too late for the statement before must not meet this one
    answer(do.call(verbs[[request[[1]]]], request[-1]))
  })
})
