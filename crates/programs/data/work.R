# Data frames, models, strings, lists and matrices; the argument is the number of rounds.
rounds <- as.integer(commandArgs(TRUE)[1])
set.seed(7)
for (round in 1:rounds) {
  n <- 20000
  d <- data.frame(g = sample(letters, n, TRUE), x = round(runif(n), 6), y = sample.int(1000, n, TRUE), stringsAsFactors = FALSE)
  d$s <- paste0(d$g, d$y, strrep("z", d$y %% 17))
  a <- aggregate(cbind(x, y) ~ g, d, sum)
  m <- merge(d[1:2000, ], a, by = "g")
  o <- d[order(d$s, d$x), ]
  f <- coef(lm(x ~ y + g, d))
  k <- table(substr(gsub("z+", "-", d$s), 1, 3))
  l <- lapply(split(d, d$g), function(p) sapply(strsplit(p$s[1:50], ""), length))
  q <- crossprod(matrix(d$x, ncol = 20))
  cat(round, sum(a$y), nrow(m), head(o$s, 1), length(k), sum(unlist(l)), sprintf("%.6f", f[2] * 1e6), sprintf("%.4f", sum(q)), "\n")
  invisible(gc())
}
