let dashboardPage = ""
